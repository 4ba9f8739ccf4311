"""The hooks as data: what each one's descriptors are and what their factories must build."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from neuromem.plugin.providers import DatabaseProvider, EmbeddingProvider, LLMProvider, ObjectStorage
from neuromem.plugin.specs import CommandSpec, ProviderSpec, StageSpec
from neuromem.plugin.stages import Extractor, Fusion, Observer, Reranker, Retriever, Scorer

S = TypeVar("S", bound=ProviderSpec[Any] | StageSpec[Any] | CommandSpec)


@dataclass(frozen=True, slots=True)
class Hook(Generic[S]):
    """One hook: ``base`` is the class of what its factories build, ``method`` what that must have.

    ``argument`` is the constructor's argument, and the setting, for a provider; it takes a name unless
    ``by_name`` is false.
    """

    name: str
    noun: str
    spec: type[S]
    argument: str = ""
    by_name: bool = True
    base: type | None = None
    method: str | None = None
    waits: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that says the same as the argument."""
        return f"NEUROMEM_{self.argument.upper()}"

    def fault(self, product: object) -> str | None:
        """Return what is wrong with the object that a factory built, or None."""
        if self.base is not None and not isinstance(product, self.base):
            return (
                f"it is no {self.base.__name__}: derive its class from neuromem.plugin.{self.base.__name__}"
            )
        if self.method is None:
            return None
        method = getattr(product, self.method, None)
        if not callable(method):
            return f"it has no method {self.method}()"
        if inspect.iscoroutinefunction(inspect.unwrap(method)) is not self.waits:
            return f"its {self.method}() must be {'an async def' if self.waits else 'a plain def'}"
        return None


EMBEDDINGS: Hook[ProviderSpec[EmbeddingProvider]] = Hook(
    "neuromem_embeddings", "embedding provider", ProviderSpec, argument="embedding", base=EmbeddingProvider
)
LLMS: Hook[ProviderSpec[LLMProvider]] = Hook(
    "neuromem_llms", "LLM provider", ProviderSpec, argument="llm", base=LLMProvider
)
STORAGES: Hook[ProviderSpec[ObjectStorage]] = Hook(
    "neuromem_storages", "object storage", ProviderSpec, argument="storage", base=ObjectStorage
)
DATABASES: Hook[ProviderSpec[DatabaseProvider]] = Hook(
    "neuromem_databases",
    "database provider",
    ProviderSpec,
    argument="database_url",
    by_name=False,
    base=DatabaseProvider,
)
EXTRACTORS: Hook[StageSpec[Extractor]] = Hook(
    "neuromem_extractors", "extractor", StageSpec, method="extract", waits=True
)
RETRIEVERS: Hook[StageSpec[Retriever]] = Hook(
    "neuromem_retrievers", "retriever", StageSpec, method="candidates", waits=True
)
FUSIONS: Hook[StageSpec[Fusion]] = Hook("neuromem_fusions", "fusion", StageSpec, method="fuse")
SCORERS: Hook[StageSpec[Scorer]] = Hook("neuromem_scorers", "scorer", StageSpec, method="score")
RERANKERS: Hook[StageSpec[Reranker]] = Hook(
    "neuromem_rerankers", "reranker", StageSpec, method="rerank", waits=True
)
OBSERVERS: Hook[StageSpec[Observer]] = Hook("neuromem_observers", "observer", StageSpec, base=Observer)
COMMANDS: Hook[CommandSpec] = Hook("neuromem_commands", "command", CommandSpec)

PROVIDER_HOOKS: tuple[Hook[Any], ...] = (EMBEDDINGS, LLMS, STORAGES, DATABASES)
STAGE_HOOKS: tuple[Hook[Any], ...] = (EXTRACTORS, RETRIEVERS, FUSIONS, SCORERS, RERANKERS, OBSERVERS)
HOOKS: dict[str, Hook[Any]] = {hook.name: hook for hook in (*PROVIDER_HOOKS, *STAGE_HOOKS, COMMANDS)}
