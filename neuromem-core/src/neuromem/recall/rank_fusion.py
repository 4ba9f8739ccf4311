"""Reciprocal rank fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.recall.candidate_union import CandidateUnion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.recall_result import Candidate, Fused
    from neuromem.plugin.list_traits import ListTraits


class ReciprocalRankFusion:
    """Adds up reciprocal ranks (Cormack, Clarke & Buettcher, SIGIR 2009), scaled to [0, 1].

    score(d) = sum over lists l of  W_l / (sum of W) * (k + 1) / (k + rank_l(d)),  ranks counted from 1

    Every list has one vote, W_l = 1, whatever its scores weigh; a retriever whose `StageSpec.weight` is 0 has none.
    ``weights`` change that, by the name of the retriever.
    """

    def __init__(
        self,
        retrievers: Mapping[str, ListTraits] | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        k: int = 60,
    ) -> None:
        silent = {name: 0.0 for name, traits in (retrievers or {}).items() if traits.weight == 0.0}
        self._weights = {**silent, **(weights or {})}
        self._k = k

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates, best first."""
        union = CandidateUnion(ranked)
        total = sum(self._weights.get(name, 1.0) for name, found in ranked.items() if found) or 1.0
        return union.fused(
            [
                sum(
                    self._weights.get(name, 1.0) / total * (self._k + 1) / (self._k + rank)
                    for name, rank in ranks.items()
                )
                for ranks in union.ranks
            ]
        )
