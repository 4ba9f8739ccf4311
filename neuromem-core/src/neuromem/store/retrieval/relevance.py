"""Relevance: how well an entry matches a question in absolute terms, from its words and its vector; pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuromem.store.retrieval.hybrid_query import ScoredEntry

FULL_IDF_SHARE = 0.7  # share of a question's idf from which on the ranking by words is fully trusted
MIN_LEXICAL_TRUST = 0.25  # trust in the ranking by words when the best entry shares almost none of them
# The centered cosine that alone means certainty: ten standard deviations of unrelated pairs of e5 on LoCoMo.
FULL_CENTERED_COSINE = 0.75
WORD_DISCOUNT = 0.7  # how much of the words' share adds to what the vector says


def lexical_trust(entries: Iterable[ScoredEntry]) -> float:
    """Return how far the ranking by words can be trusted, in [`MIN_LEXICAL_TRUST`, 1].

    It can be trusted fully when some entry has most of what is specific in the question.
    """
    best_share = max((entry.idf_share or 0.0 for entry in entries), default=0.0)
    return min(1.0, max(MIN_LEXICAL_TRUST, best_share / FULL_IDF_SHARE))


def entry_relevance(entry: ScoredEntry, centroid_trust: float, baseline_cosine: float | None) -> float:
    """Return how relevant an entry is by words and by vector together, in [0, 1].

    The centered cosine of unrelated texts is 0 give or take a tenth; `FULL_CENTERED_COSINE` alone means certainty.
    A user with few texts has no centroid to speak of: there the cosine is measured from ``baseline_cosine`` instead.

    Args:
        entry: The entry with its scores.
        centroid_trust: The weight of the centered cosine against the other, in [0, 1].
        baseline_cosine: The mean cosine of unrelated texts in the space; None: not measured.
    """
    idf_share = min(1.0, entry.idf_share or 0.0)  # a quotient of sums, which rounding can bring above 1
    if entry.cosine is None or entry.centered_cosine is None:
        return idf_share
    near = entry.centered_cosine
    if baseline_cosine is not None and baseline_cosine < 1.0:  # at 1 the model distinguishes no two texts
        above_baseline = (1.0 - centroid_trust) * (entry.cosine - baseline_cosine) / (1.0 - baseline_cosine)
        near = centroid_trust * near + above_baseline
    near = min(1.0, max(0.0, near / FULL_CENTERED_COSINE))
    return max(idf_share, 1.0 - (1.0 - near) * (1.0 - WORD_DISCOUNT * idf_share))
