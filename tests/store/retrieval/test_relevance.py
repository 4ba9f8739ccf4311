"""Relevance is in [0, 1] whatever the scores are, and grows with the words and with the vector."""

from __future__ import annotations

import itertools

import pytest

from neuromem.store.retrieval.hybrid_query import ScoredEntry
from neuromem.store.retrieval.relevance import MIN_LEXICAL_TRUST, entry_relevance, lexical_trust

SHARES = (None, 0.0, 0.3, 1.0, 1.0000000000000002)  # the last as sums of floats give it
COSINES = (-1.0, 0.0, 0.4, 1.0)


def scored(idf_share: float | None, cosine: float | None, centered_cosine: float | None) -> ScoredEntry:
    return ScoredEntry("m", "id", "s", 0, False, None, idf_share, None, cosine, centered_cosine)


@pytest.mark.parametrize("baseline_cosine", [None, 0.7, 1.0])
def test_it_is_between_0_and_1(baseline_cosine: float | None) -> None:
    for share, cosine, centered, trust in itertools.product(
        SHARES, (None, *COSINES), (None, *COSINES), (0.0, 0.5)
    ):
        assert 0.0 <= entry_relevance(scored(share, cosine, centered), trust, baseline_cosine) <= 1.0


def test_it_grows_with_the_words_and_with_the_vector() -> None:
    by_words = [entry_relevance(scored(share, 0.5, 0.2), 0.8, 0.3) for share in (0.0, 0.3, 0.6, 1.0)]
    by_vector = [entry_relevance(scored(0.3, cosine, cosine), 0.8, 0.3) for cosine in (0.3, 0.4, 0.5, 0.6)]
    assert by_words == sorted(set(by_words))
    assert by_vector == sorted(set(by_vector))


def test_words_are_trusted_as_far_as_the_best_entry_has_them() -> None:
    assert lexical_trust([]) == MIN_LEXICAL_TRUST
    assert lexical_trust([scored(0.35, None, None), scored(0.1, None, None)]) == pytest.approx(0.5)
    assert lexical_trust([scored(0.9, None, None)]) == 1.0
