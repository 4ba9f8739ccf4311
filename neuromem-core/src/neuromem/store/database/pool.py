"""Connections that are used one after the other: the one that was given back last comes first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg


class PoolTimeoutError(Exception):
    """No connection became free in time."""


class Pool:
    """At most ``size`` connections, made when they are needed.

    `take` raises `PoolTimeoutError` when none became free in ``wait`` seconds.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[asyncpg.Connection]], size: int, wait: float = 30.0
    ) -> None:
        self._connect = connect
        self._places = asyncio.Semaphore(size)
        self._idle: list[asyncpg.Connection] = []
        self._closed = False
        self.wait = wait

    async def take(self) -> asyncpg.Connection:
        """Return a connection for the caller alone, who gives it back or drops it."""
        if self._places.locked():
            try:
                async with asyncio.timeout(self.wait):
                    await self._places.acquire()
            except TimeoutError as error:
                raise PoolTimeoutError from error
        else:
            await self._places.acquire()  # at once
        try:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
            return await self._connect()
        except BaseException:
            self._places.release()
            raise

    def give_back(self, connection: asyncpg.Connection) -> None:
        """Take a connection back that is in no transaction."""
        if self._closed:
            connection.terminate()
        else:
            self._idle.append(connection)
        self._places.release()

    def drop(self, connection: asyncpg.Connection) -> None:
        """Take a connection back that nobody may use again."""
        connection.terminate()
        self._places.release()

    def forget(self) -> None:
        """Drop what is idle, as when the server was restarted."""
        while self._idle:
            self._idle.pop().terminate()

    async def close(self) -> None:
        """Close what is idle, and what is in use as soon as it is given back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()
