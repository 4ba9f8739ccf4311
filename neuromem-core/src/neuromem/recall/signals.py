"""Adds the weighted signals of the scorers to fused scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.errors import RecallError
from neuromem.recall.results import Found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import RetrievedItem
    from neuromem.recall.results import Weighted


class Signals:
    """The scorers in force.

    score(d) = (fused(d) + sum of weight * signal(d)) / (1 + sum of all weights)

    The second sum goes over all scorers, whether they apply to the question or not, so that scores of different
    questions have one scale.
    """

    def __init__(self, scorers: Mapping[str, Weighted]) -> None:
        self.scorers = dict(scorers)
        self.weights = {name: weighted.weight for name, weighted in self.scorers.items()}
        self._none = dict.fromkeys(self.scorers, 0.0)
        self._highest = 1.0 + sum(weighted.weight for weighted in self.scorers.values())

    def for_question(self, query: Query) -> QuestionSignals:
        """Return the scorers that apply to a question."""
        applying = {n: w for n, w in self.scorers.items() if getattr(w.scorer, "applies", _always)(query)}
        return QuestionSignals(query, applying, self._none, self._highest)


class QuestionSignals:
    """The scorers that apply to one question.

    Attributes:
        most: What all of them together can add to a fused score, before it is scaled back to [0, 1].
    """

    def __init__(
        self,
        query: Query,
        active_scorers: Mapping[str, Weighted],
        none: Mapping[str, float],
        highest: float,
    ) -> None:
        self._query = query
        self._active_scorers = active_scorers
        self._none = none
        self._highest = highest
        self.most = sum(weighted.weight for weighted in active_scorers.values())

    def score(self, hit: RetrievedItem) -> Found:
        """Return an item with its signals and its score; raises `RecallError` naming a scorer that fails."""
        signals = {**self._none}
        score = hit.score
        for name, weighted in self._active_scorers.items():
            try:
                signal = signals[name] = weighted.scorer.score(self._query, hit)
                sound = 0.0 <= signal <= 1.0
            except Exception as error:
                raise RecallError(
                    f"The scorer {name!r} failed for a question of user {self._query.user_id!r}: {error!r}. "
                    "Put it into settings.disable to answer without it.",
                    arm=name,
                ) from error
            if not sound:
                raise RecallError(
                    f"The scorer {name!r} returned {signal!r}; a signal lies in [0, 1].", arm=name
                )
            score += weighted.weight * signal
        return Found(hit, min(1.0, max(0.0, score / self._highest)), signals)

    def least_fused(self, score: float) -> float:
        """Return the fused score below which no item reaches a score, not even with all signals."""
        return score * self._highest - self.most


def _always(query: Query) -> bool:
    del query
    return True
