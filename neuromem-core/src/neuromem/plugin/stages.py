"""Stages of the pipeline: what the author of one implements.

Mathematics is ``def``; what may wait is ``async def``. A stage is built once and used by many calls at the same
time, so it keeps no state of a call. A retriever or reranker that holds connections may have ``async def close()``,
which is called when the `neuromem.NeuroMemory` closes; it may be asked again afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.events import DigestEvent, EmbeddingCallEvent, ExtractionEvent, LLMCallEvent
    from neuromem.domain.extraction import Extraction, Window
    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import Candidate, Fused, RetrievedItem
    from neuromem.plugin.ports import Reader


class Extractor(Protocol):
    """Turns messages into memories, relations and profile updates."""

    async def extract(self, window: Window) -> Extraction:
        """Return what the window's messages say that is worth keeping."""
        ...


class Retriever(Protocol):
    """A source of candidates."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return up to ``query.depth`` candidates, best first."""
        ...


class Fusion(Protocol):
    """Makes one list of many."""

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates, best first; the keys are the names of the retrievers."""
        ...


class Scorer(Protocol):
    """One signal about a hit.

    A scorer may also have ``mute(query) -> bool``, which tells that the signal is 0 for everything that answers the
    question: recall then looks at fewer entries.
    """

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal in [0, 1]."""
        ...


class Reranker(Protocol):
    """Orders the best hits anew."""

    async def rerank(self, query: Query, hits: Sequence[RetrievedItem]) -> Sequence[float]:
        """Return one relevance in [0, 1] per hit, in the order of the hits."""
        ...


class Observer:
    """Told of every call and event; override what interests you, sync only. Errors are logged, never raised."""

    def on_llm_call(self, event: LLMCallEvent) -> None:
        """Called after every LLM call."""

    def on_embedding_call(self, event: EmbeddingCallEvent) -> None:
        """Called after every embedding call."""

    def on_extraction(self, event: ExtractionEvent) -> None:
        """Called after every extraction."""

    def on_digest(self, event: DigestEvent) -> None:
        """Called after every digest."""
