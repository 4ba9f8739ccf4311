"""Makes one list of the retrievers' lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.recall import Fused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.domain.recall import Candidate, Kind


class NormalizedFusion:
    """Adds up the retrievers' scores, each min-max normalized within its list.

    On LoCoMo this finds five points more evidence than reciprocal rank fusion: a list's scores say how sure it
    is, ranks do not. A list whose scores are all equal counts as fully sure of each.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self._weights = dict(weights or {})

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates, best first."""
        return _fuse(ranked, self._weights, _min_max)


class ReciprocalRankFusion:
    """Adds up 1 / (k + rank) over the lists (Cormack, Clarke & Buettcher, SIGIR 2009)."""

    def __init__(self, weights: Mapping[str, float] | None = None, k: int = 60) -> None:
        self._weights = dict(weights or {})
        self._k = k

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates, best first."""
        return _fuse(
            ranked, self._weights, lambda arm: [(self._k + 1) / (self._k + i + 1) for i in range(len(arm))]
        )


def _min_max(arm: Sequence[Candidate]) -> list[float]:
    scores = [candidate.score for candidate in arm]
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


def _fuse(
    ranked: Mapping[str, Sequence[Candidate]],
    weights: Mapping[str, float],
    normalize: Callable[[Sequence[Candidate]], list[float]],
) -> list[Fused]:
    total = sum(weights.get(name, 1.0) for name, arm in ranked.items() if arm) or 1.0
    scores: dict[tuple[Kind, str], float] = {}
    relevance: dict[tuple[Kind, str], float] = {}
    ranks: dict[tuple[Kind, str], dict[str, int]] = {}
    for name in sorted(ranked):
        arm = ranked[name]
        if not arm:
            continue
        weight = weights.get(name, 1.0) / total
        for rank, (candidate, score) in enumerate(zip(arm, normalize(arm), strict=True), start=1):
            key = (candidate.kind, candidate.id)
            if name in ranks.setdefault(key, {}):
                continue
            ranks[key][name] = rank
            scores[key] = scores.get(key, 0.0) + weight * score
            relevance[key] = max(relevance.get(key, 0.0), candidate.relevance or 0.0)
    fused = [Fused(key[1], key[0], scores[key], relevance[key], ranks[key]) for key in ranks]
    fused.sort(key=lambda item: (-item.score, item.id))
    return fused
