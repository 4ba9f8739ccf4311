"""The hooks as data: what each one's descriptors are and what their factories must build."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from neuromem.plugin.providers import DatabaseProvider, EmbeddingProvider, LLMProvider, ObjectStorage
from neuromem.plugin.specs import CommandSpec, ProviderSpec, StageSpec
from neuromem.plugin.stages import Extractor, Fusion, Observer, Reranker, Retriever, Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

S = TypeVar("S", bound=ProviderSpec[Any] | StageSpec[Any] | CommandSpec)


@dataclass(frozen=True, slots=True)
class Hook(Generic[S]):
    """One hook: what its descriptors are, and what their factories must build.

    Attributes:
        name: The name of the hook's function.
        noun: What an error calls one of the things that are offered.
        spec: The class of the descriptors.
        argument: For a provider: the argument of the constructor, and the setting, that chooses one.
        by_name: Whether that argument takes the name of an offer.
        base: The class of what the factories build; None: any that has ``method``.
        method: The method that it must have.
        parameters: What that method is called with.
        hint: What to change in one that takes the parameters of an earlier version.
        waits: Whether the method is an ``async def``.
        renamed: Members of earlier versions of the interface, and what to do instead; what still has one is refused,
            because it would be ignored.
    """

    name: str
    noun: str
    spec: type[S]
    argument: str = ""
    by_name: bool = True
    base: type | None = None
    method: str | None = None
    parameters: tuple[str, ...] = ()
    hint: str = ""
    waits: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)

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
        for old, instead in self.renamed.items():
            if inspect.getattr_static(product, old, None) is not None:
                return f"it has {old}, which is not read any more: {instead}"
        if self.method is None:
            return None
        method = getattr(product, self.method, None)
        if not callable(method):
            return f"it has no method {self.method}()"
        if inspect.iscoroutinefunction(inspect.unwrap(method)) is not self.waits:
            return f"its {self.method}() must be {'an async def' if self.waits else 'a plain def'}"
        return self._wrong_parameters(method)

    def _wrong_parameters(self, method: Callable[..., object]) -> str | None:
        """Return what is wrong with a method that cannot be called with the hook's parameters, or None."""
        signature = inspect.signature(method)
        try:
            signature.bind(*self.parameters)
        except TypeError:
            declared, wanted = ", ".join(signature.parameters), ", ".join(self.parameters)
            return f"its {self.method}({declared}) is called with ({wanted}): declare these parameters{self.hint}"
        return None


EMBEDDINGS: Hook[ProviderSpec[EmbeddingProvider]] = Hook(
    "neuromem_embeddings",
    "embedding provider",
    ProviderSpec,
    argument="embedding",
    base=EmbeddingProvider,
    renamed={"background": "rename it to baseline_cosine"},
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
    "neuromem_extractors", "extractor", StageSpec, method="extract", parameters=("window",), waits=True
)
RETRIEVERS: Hook[StageSpec[Retriever]] = Hook(
    "neuromem_retrievers",
    "retriever",
    StageSpec,
    method="candidates",
    parameters=("query", "reader"),
    hint=", and read by `reader` instead of query.reader",
    waits=True,
)
FUSIONS: Hook[StageSpec[Fusion]] = Hook(
    "neuromem_fusions", "fusion", StageSpec, method="fuse", parameters=("ranked",)
)
SCORERS: Hook[StageSpec[Scorer]] = Hook(
    "neuromem_scorers",
    "scorer",
    StageSpec,
    method="score",
    parameters=("query", "candidate"),
    renamed={"mute": "rename it to applies and return the opposite, whether the signal may differ from 0"},
)
RERANKERS: Hook[StageSpec[Reranker]] = Hook(
    "neuromem_rerankers", "reranker", StageSpec, method="rerank", parameters=("query", "hits"), waits=True
)
OBSERVERS: Hook[StageSpec[Observer]] = Hook("neuromem_observers", "observer", StageSpec, base=Observer)
COMMANDS: Hook[CommandSpec] = Hook("neuromem_commands", "command", CommandSpec)

PROVIDER_HOOKS: tuple[Hook[Any], ...] = (EMBEDDINGS, LLMS, STORAGES, DATABASES)
STAGE_HOOKS: tuple[Hook[Any], ...] = (EXTRACTORS, RETRIEVERS, FUSIONS, SCORERS, RERANKERS, OBSERVERS)
HOOKS: dict[str, Hook[Any]] = {hook.name: hook for hook in (*PROVIDER_HOOKS, *STAGE_HOOKS, COMMANDS)}
