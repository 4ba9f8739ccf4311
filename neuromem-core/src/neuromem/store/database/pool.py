"""A pool of connections, last in, first out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg


class PoolTimeoutError(Exception):
    """No connection became free in time."""


class Pool:
    """Lends at most ``size`` connections, opened when they are needed; the last one given back is lent first.

    Giving back is a plain call that sends nothing to the server: a transaction leaves no settings behind, so there is
    nothing to reset.

    This is not ``asyncpg.create_pool`` because that is slower. In one run, taking turns, over 10 connections, small
    transactions (BEGIN with two settings, one SELECT, COMMIT) ran at 3,570 a second here with one task and at 2,440
    with 16 tasks. With asyncpg 0.32 they ran at 2,510 and 2,140 (its reset query and time limit turned off), 2,290
    and 1,850 (with a time limit) or 1,770 and 1,410 (with both). Its pool returns a connection in a task of its own
    and calls the connection through a proxy; taking and giving back cost 43 to 173 microseconds of CPU, 3 to 4 here.
    Also, its time limit for a free connection cuts off connecting too, and closing it waits for all who still hold a
    connection.

    Args:
        connect: Opens a connection.
        size: How many connections are open at most.
        wait: How many seconds `take` waits for a connection.
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
        """Return a connection for the caller alone, who gives it back or drops it.

        Raises:
            PoolTimeoutError: None became free in ``wait`` seconds.
        """
        if self._places.locked():
            try:
                async with asyncio.timeout(self.wait):
                    await self._places.acquire()
            except TimeoutError as error:
                raise PoolTimeoutError from error
        else:
            await self._places.acquire()  # does not wait
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
        """Give a connection back that is in no transaction, for others to take."""
        if self._closed:
            connection.terminate()
        else:
            self._idle.append(connection)
        self._places.release()

    def drop(self, connection: asyncpg.Connection) -> None:
        """Give a connection back that must not be used again, and close it."""
        connection.terminate()
        self._places.release()

    def drop_idle(self) -> None:
        """Close all idle connections at once, as after the server was restarted."""
        while self._idle:
            self._idle.pop().terminate()

    async def close(self) -> None:
        """Close the idle connections, and those in use when they are given back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()
