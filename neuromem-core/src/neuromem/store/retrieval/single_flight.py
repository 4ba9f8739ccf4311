"""Something that is done once, by whoever comes first; a task for it would cost more than most of what it does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """What ``make`` returns or raises, for all who ask; when the first is canceled, the next one makes it."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._turn = asyncio.Lock()
        self._made: list[T] = []
        self._error: Exception | None = None

    async def get(self) -> T:
        """Return what was made, making it if need be."""
        if not self._made:
            async with self._turn:
                if not self._made and self._error is None:
                    try:
                        self._made.append(await self._make())
                    except Exception as error:  # noqa: BLE001  raised below, to everybody
                        self._error = error
            if self._error is not None:
                raise self._error
        return self._made[0]
