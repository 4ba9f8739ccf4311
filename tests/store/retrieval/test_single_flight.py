"""A result that several callers want is computed once, and canceling one caller takes it from no other."""

from __future__ import annotations

import asyncio

import pytest

from neuromem.store.retrieval.single_flight import SingleFlight


class Making:
    """Makes a number when it is let go, and counts how often it was begun."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go = asyncio.Event()
        self.began = asyncio.Event()
        self.times = 0
        self._error = error

    async def __call__(self) -> int:
        self.times += 1
        self.began.set()
        await self.go.wait()
        if self._error is not None:
            raise self._error
        return 7


async def test_all_get_what_was_made_once() -> None:
    making = Making()
    once = SingleFlight(making)
    asking = asyncio.gather(*(once.get() for _ in range(3)))
    making.go.set()
    assert await asking == [7, 7, 7]
    assert await once.get() == 7
    assert making.times == 1


async def test_all_get_the_error_of_the_only_try() -> None:
    making = Making(ValueError("no"))
    once = SingleFlight(making)
    making.go.set()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await once.get()
    assert making.times == 1


async def test_when_the_first_is_canceled_the_next_one_makes_it() -> None:
    making = Making()
    once = SingleFlight(making)
    first = asyncio.create_task(once.get())
    await making.began.wait()
    second = asyncio.create_task(once.get())
    first.cancel()
    making.go.set()
    assert await second == 7
    with pytest.raises(asyncio.CancelledError):
        await first
    assert making.times == 2
