"""The built-in scorers: signals in [0, 1] that modulate the fused score within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import RetrievedItem

NEUTRAL = 0.5


class RecencyScorer:
    """How fresh a memory is: 1 now, 1/2 after ``half_life`` days, never 0.

    Hyperbolic, not exponential, so that what was learned a year ago still counts. ``half_life`` grows with arousal,
    up to twice as long.
    """

    def __init__(self, half_life: float = 90.0) -> None:
        self._half_life = half_life

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal."""
        then = candidate.occurred_at or candidate.created_at
        days = max(0.0, (query.now - then).total_seconds() / 86_400)
        half_life = self._half_life * (1.0 + (candidate.arousal or 0.0))
        return half_life / (half_life + days)


class SpeakerScorer:
    """Whether the question names who said it, or whom it is about; 0 for all when it names nobody, or several."""

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal."""
        return 1.0 if self.applies(query) and candidate.speaker == query.named[0] else 0.0

    def applies(self, query: Query) -> bool:
        """Return whether the question names exactly one speaker."""
        return len(query.named) == 1


class StatementScorer:
    """Whether it states something: a message that asks seldom holds the answer, the turn after it does."""

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal."""
        del query
        asks = candidate.kind == "message" and candidate.content.rstrip().endswith(("?", "？"))
        return 0.0 if asks else 1.0


class GraphScorer:
    """Whether a relation of what the question names leads to it: 1 / sqrt(rank) in the list of a retriever."""

    def __init__(self, retriever: str) -> None:
        self._retriever = retriever

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal."""
        rank = candidate.ranks.get(self._retriever) if self.applies(query) else None
        return 0.0 if rank is None else 1.0 / rank**0.5

    def applies(self, query: Query) -> bool:
        """Return whether the knowledge graph takes part."""
        return query.graph


class OpeningScorer:
    """Whether it opens a session: people ask later about what they came with."""

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal."""
        del query
        return 1.0 if candidate.position == 0 else 0.0


class TimeScorer:
    """How near a memory is to the times that the question names; 0 for all when it names none."""

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal."""
        then = candidate.occurred_at or candidate.created_at
        return max((span.nearness(then) for span in query.spans), default=0.0)

    def applies(self, query: Query) -> bool:
        """Return whether the question names a time."""
        return bool(query.spans)


class ImportanceScorer:
    """How much a memory matters: importance 1-10 mapped to [0, 1]; unknown is neutral."""

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal."""
        del query
        return NEUTRAL if candidate.importance is None else (candidate.importance - 1.0) / 9.0


class EmotionScorer:
    """How strong the emotion is: arousal; unknown is neutral."""

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return the signal."""
        del query
        return NEUTRAL if candidate.arousal is None else candidate.arousal
