"""The cache keeps what was used last, and no more than it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from neuromem.domain.bounded_cache import BoundedCache

if TYPE_CHECKING:
    from collections.abc import Sequence

USES = st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=60)


@given(USES, st.integers(1, 5))
def test_the_entries_that_were_used_last_are_kept(uses: Sequence[tuple[int, bool]], size: int) -> None:
    cache: BoundedCache[int, int] = BoundedCache(size)
    expected: list[int] = []  # keys, the one that was used last at the end
    for number, (key, put) in enumerate(uses):
        if put:
            cache.put(key, number)
        elif cache.get(key) is None:
            assert key not in expected
            continue
        expected = [*(other for other in expected if other != key), key][-size:]
    assert [key for key in range(9) if cache.get(key) is not None] == sorted(expected)


def test_a_value_is_replaced() -> None:
    cache: BoundedCache[str, str] = BoundedCache(1)
    cache.put("a", "old")
    cache.put("a", "new")
    assert cache.get("a") == "new"
    assert cache.get("b") is None
