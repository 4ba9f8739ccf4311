"""A cache that holds the entries that were used last, and no more than a given number of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Keeps at most ``size`` values; the one that was not used for the longest time goes first.

    For values that arrive later or change, such as what was last read of a user. A pure function of its arguments is
    remembered by `functools.lru_cache`. It belongs to one event loop and needs no lock.

    >>> cache = BoundedCache[str, int](2)
    >>> for key, value in (("a", 1), ("b", 2), ("c", 3)):
    ...     cache.put(key, value)
    >>> cache.get("a"), cache.get("c")
    (None, 3)
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value of a key, which counts as a use of it; None when it is not there."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value, in place of the one that the key had."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)
