"""All that the author of a plugin may import, beside `neuromem.domain` and `neuromem.errors`.

A plugin is a module (or object) with functions marked ``@hookimpl``, named by an entry point of the group
``neuromem``. Hooks describe, objects do: a hook is a plain ``def`` without arguments that returns descriptors;
whatever waits is an ``async def`` method of the object that a descriptor's factory builds.
"""

from __future__ import annotations

from neuromem.plugin.context import Clock, Context
from neuromem.plugin.list_traits import ListTraits
from neuromem.plugin.markers import hookimpl
from neuromem.plugin.ports import Reader
from neuromem.plugin.providers import (
    ChatMessage,
    ChatReply,
    DatabaseProvider,
    EmbeddingProvider,
    LLMProvider,
    ObjectStorage,
)
from neuromem.plugin.specs import CommandSpec, ProviderSpec, StageSpec
from neuromem.plugin.stages import Extractor, Fusion, Observer, Reranker, Retriever, Scorer

__all__ = [
    "ChatMessage",
    "ChatReply",
    "Clock",
    "CommandSpec",
    "Context",
    "DatabaseProvider",
    "EmbeddingProvider",
    "Extractor",
    "Fusion",
    "LLMProvider",
    "ListTraits",
    "ObjectStorage",
    "Observer",
    "ProviderSpec",
    "Reader",
    "Reranker",
    "Retriever",
    "Scorer",
    "StageSpec",
    "hookimpl",
]
