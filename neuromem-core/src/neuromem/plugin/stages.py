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
        """Return what the messages of a window say that is worth keeping."""
        ...


class Retriever(Protocol):
    """A source of candidates."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return candidates for a question.

        Args:
            query: The question.
            reader: Reads what the question may see, in one transaction that all retrievers share. It is closed when
                the question is answered.

        Returns:
            Up to ``query.depth`` candidates, best first. Those of a plugin are checked: what the question may not see
            is left out, what comes twice counts once.
        """
        ...


class Fusion(Protocol):
    """Makes one list of many.

    How the list of each retriever is to be read stands in ``ctx.retrievers`` of its factory.
    """

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates.

        Args:
            ranked: The list of each retriever, best first, by the retriever's name. Candidates in it may be suppressed.

        Returns:
            Every candidate once, best first, with scores in [0, 1].
        """
        ...


class Scorer(Protocol):
    """One signal about a retrieved item.

    A scorer may also have ``applies(query) -> bool``: whether the signal may differ from 0 for any answer to the
    question. Where it is false the scorer is not asked, and recall reads fewer entries.
    """

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal, in [0, 1]; it is multiplied by the scorer's weight and added to the fused score."""
        ...


class Reranker(Protocol):
    """Gives the best items of an answer another order."""

    async def rerank(self, query: Query, hits: Sequence[RetrievedItem]) -> Sequence[float]:
        """Return one relevance in [0, 1] for each hit, in the order of the hits; it becomes the hit's score."""
        ...


class Observer:
    """Is called after every call and event; override the methods you need. They are plain defs; errors are logged."""

    def on_llm_call(self, event: LLMCallEvent) -> None:
        """Called after every LLM call."""

    def on_embedding_call(self, event: EmbeddingCallEvent) -> None:
        """Called after every embedding call."""

    def on_extraction(self, event: ExtractionEvent) -> None:
        """Called after every extraction."""

    def on_digest(self, event: DigestEvent) -> None:
        """Called after every digest."""
