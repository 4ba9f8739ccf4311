"""Which texts state the same, by their words."""

from __future__ import annotations

import pytest

from neuromem.domain.memories import NewMemory
from neuromem.domain.text.same_statement import statement_key, word_overlap, words_of
from neuromem.store.memories.write import statement_hash


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("Alice likes tea.", "alice  LIKES tea!", True),
        ("Ａｌｉｃｅ likes tea", "Alice likes tea", True),
        ("Cafe\u0301", "Caf\u00e9", True),
        ("小明喜欢茶。", "小明喜欢茶！", True),
        ("没事…", "没事...", True),
        ("Alice likes tea?", "Alice likes tea.", False),
        ("Alice likes tea", "Alice likes coffee", False),
    ],
)
def test_what_makes_no_difference(text: str, other: str, same: bool) -> None:
    assert (statement_key(text) == statement_key(other)) is same


def test_stored_hashes_stay_what_they_are() -> None:
    """A change of these needs a migration of the hashes that are stored."""
    assert statement_hash(NewMemory("Ａlice  likes TEA.", "fact")).hex() == "af34e9aaafe034d69216c6fd41760a1e"


def test_overlap_is_the_share_of_common_words() -> None:
    tea, coffee = (words_of(f"Alice likes {drink}", "en") for drink in ("tea", "coffee"))
    assert word_overlap(tea, tea) == 1.0
    assert word_overlap(tea, coffee) == 0.5
    assert word_overlap(tea, frozenset()) == 0.0
