"""Connection pools, one for each event loop that uses the client."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Callable

    import httpx


@dataclass(slots=True)
class _Pool:
    client: httpx.AsyncClient
    users: int = 0
    retired: bool = False


class Pools:
    """Opens a pool when it is first needed on a loop; a connection never outlives or leaves its loop."""

    def __init__(self, open_client: Callable[[], httpx.AsyncClient]) -> None:
        self._open_client = open_client
        self._pools: dict[AbstractEventLoop, _Pool] = {}

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[httpx.AsyncClient]:
        """Use the running loop's pool; it is not closed before the last user is done."""
        pool = self._current()
        pool.users += 1
        try:
            yield pool.client
        finally:
            pool.users -= 1
            if pool.retired and not pool.users:
                await pool.client.aclose()

    async def close(self) -> None:
        """Close the running loop's pool, now or when its last call is done; the next call opens another."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            pool.retired = True
            if not pool.users:
                await pool.client.aclose()

    def _current(self) -> _Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            for dead in [other for other in tuple(self._pools) if other.is_closed()]:
                self._pools.pop(dead, None)  # its sockets went with it
            pool = self._pools[loop] = _Pool(self._open_client())
        return pool
