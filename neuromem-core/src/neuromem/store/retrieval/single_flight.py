"""Single flight: what several ask for at the same time is made once, and shared.

Not by a task of its own, which would cost more than most of what is made here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls ``make`` once and gives its result, or its error, to all who ask.

    When the first who asks is canceled, the next one calls it.
    """

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._turn = asyncio.Lock()
        self._made: list[T] = []
        self._error: Exception | None = None

    async def get(self) -> T:
        """Return the result, made by the first call; raises what ``make`` raised."""
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
