"""The sources of uploads that are sent in parts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator


class Stopped(Exception):  # noqa: N818 - nothing failed
    """The upload was canceled."""


class Parts:
    """An async iterator over the bytes of an upload that can be stopped from outside.

    obstore removes the parts it has sent when their source fails, and leaves them behind when it is cancelled
    itself; so an upload that is cancelled makes its source fail.
    """

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = aiter(source)
        self._next: asyncio.Future[bytes] | None = None
        self._stopped = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._stopped:
            raise Stopped
        self._next = asyncio.ensure_future(_following(self._source))
        try:
            return await self._next
        except asyncio.CancelledError:
            if self._stopped:
                raise Stopped from None
            raise
        finally:
            self._next = None

    def stop(self) -> None:
        """Make the next part fail, or the one that is being waited for."""
        self._stopped = True
        if self._next is not None:
            self._next.cancel()


async def slices(data: bytes, size: int) -> AsyncIterator[bytes]:
    """Yield bytes in pieces of ``size``."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _following(source: AsyncIterator[bytes]) -> bytes:
    return await anext(source)
