"""Memory for AI agents, in your own process and one PostgreSQL.

::

    from neuromem import NeuroMemory

    async with NeuroMemory() as nm:
        await nm.ingest(user_id="alice", role="user", content="I work at Google")
        result = await nm.recall(user_id="alice", query="Where does Alice work?")

Every public name is imported when it is first asked for, so that ``import neuromem`` costs next to nothing.
What a provider distribution exports (``from neuromem import OpenAILLM``) is found when it is installed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuromem.config import Settings
    from neuromem.domain.documents import Document, FileType, Passage
    from neuromem.domain.extraction import (
        ExtractedMemory,
        ExtractedRelation,
        Extraction,
        ExtractionStrategy,
        Window,
    )
    from neuromem.domain.graph import Edge, EdgeType, GraphChange, GraphPath, Neighbor, Node, NodeType
    from neuromem.domain.insights import DigestProgress, DigestResult, EmotionProfile, Insight
    from neuromem.domain.kv import KVItem
    from neuromem.domain.memories import Memory, MemoryVersion
    from neuromem.domain.memory_types import MemoryType
    from neuromem.domain.messages import ExtractionState, Message, MessageDict, Role, Session
    from neuromem.domain.query import DocumentFilter, Filters, Kind, Query
    from neuromem.domain.recall_result import (
        Candidate,
        Fused,
        GraphItem,
        RecallItem,
        RecallResult,
        RetrievedItem,
    )
    from neuromem.errors import (
        AuthenticationError,
        BudgetError,
        ClosedError,
        ConfigurationError,
        ConflictError,
        DatabaseError,
        DatabaseUnavailableError,
        EmbeddingSpaceError,
        InputError,
        MigrationError,
        NeuroMemError,
        NotFoundError,
        PluginError,
        ProviderError,
        ProviderResponseError,
        ProviderUnavailableError,
        RateLimitError,
        RecallError,
        StorageError,
    )
    from neuromem.memory import NeuroMemory
    from neuromem.plugin.markers import hookimpl
    from neuromem.plugin.providers import (
        ChatMessage,
        ChatReply,
        DatabaseProvider,
        EmbeddingProvider,
        LLMProvider,
        ObjectStorage,
    )
    from neuromem.registry import PluginRegistry
    from neuromem_local import EmbeddedPostgres, FolderStorage, LightEmbedding, LocalEmbedding
    from neuromem_openai import OpenAIEmbedding, OpenAILLM
    from neuromem_s3 import S3Storage
    from neuromem_siliconflow import SiliconFlowEmbedding

    __all__ = [
        "AuthenticationError",
        "BudgetError",
        "Candidate",
        "ChatMessage",
        "ChatReply",
        "ClosedError",
        "ConfigurationError",
        "ConflictError",
        "DatabaseError",
        "DatabaseProvider",
        "DatabaseUnavailableError",
        "DigestProgress",
        "DigestResult",
        "Document",
        "DocumentFilter",
        "Edge",
        "EdgeType",
        "EmbeddedPostgres",
        "EmbeddingProvider",
        "EmbeddingSpaceError",
        "EmotionProfile",
        "ExtractedMemory",
        "ExtractedRelation",
        "Extraction",
        "ExtractionState",
        "ExtractionStrategy",
        "FileType",
        "Filters",
        "FolderStorage",
        "Fused",
        "GraphChange",
        "GraphItem",
        "GraphPath",
        "InputError",
        "Insight",
        "KVItem",
        "Kind",
        "LLMProvider",
        "LightEmbedding",
        "LocalEmbedding",
        "Memory",
        "MemoryType",
        "MemoryVersion",
        "Message",
        "MessageDict",
        "MigrationError",
        "Neighbor",
        "NeuroMemError",
        "NeuroMemory",
        "Node",
        "NodeType",
        "NotFoundError",
        "ObjectStorage",
        "OpenAIEmbedding",
        "OpenAILLM",
        "Passage",
        "PluginError",
        "PluginRegistry",
        "ProviderError",
        "ProviderResponseError",
        "ProviderUnavailableError",
        "Query",
        "RateLimitError",
        "RecallError",
        "RecallItem",
        "RecallResult",
        "RetrievedItem",
        "Role",
        "S3Storage",
        "Session",
        "Settings",
        "SiliconFlowEmbedding",
        "StorageError",
        "Window",
        "hookimpl",
    ]
    __version__: str
else:

    def __getattr__(name):
        if name.startswith("_") and name not in {"__all__", "__version__"}:
            raise AttributeError(f"module 'neuromem' has no attribute {name!r}")
        import sys

        from neuromem._exports import resolve

        try:
            value = resolve(name)
        except ImportError as error:
            # ``from neuromem import X`` comes through the import machinery and shall say what to install;
            # ``neuromem.X``, ``hasattr()`` and ``inspect`` expect what a missing attribute raises.
            if sys._getframe(1).f_globals.get("__name__") in {"importlib._bootstrap", "_frozen_importlib"}:
                raise
            raise AttributeError(str(error)) from error
        if not name.startswith("_"):
            globals()[name] = value
        return value

    def __dir__():
        from neuromem._exports import names

        return [*(name for name in globals() if name.startswith("__")), "__version__", *names()]
