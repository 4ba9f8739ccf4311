"""Single flight: a result that several callers want is computed once and shared.

The first caller computes it; a task of its own would cost more than most of what is computed here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls a function once and gives its result, or its error, to all callers of `get`.

    When the caller that computes it is canceled, the next one computes it.

    Args:
        compute: The function.
    """

    def __init__(self, compute: Callable[[], Awaitable[T]]) -> None:
        self._compute = compute
        self._turn = asyncio.Lock()
        self._result: list[T] = []
        self._error: Exception | None = None

    async def get(self) -> T:
        """Return the result, computed by the first call; raises what the function raised."""
        if not self._result:
            async with self._turn:
                if not self._result and self._error is None:
                    try:
                        self._result.append(await self._compute())
                    except Exception as error:  # noqa: BLE001  raised below, to every caller
                        self._error = error
            if self._error is not None:
                raise self._error
        return self._result[0]
