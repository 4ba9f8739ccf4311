"""Tells other processes that this one lives: by a lock that the database gives back the moment the process is gone.

A lease says for how long a silent process is waited for. One that was killed cannot come back, so what it held is taken
over at once. Where connections are shared between transactions no lock lasts, and the lease alone counts.
"""

from __future__ import annotations

import asyncio
import random
from hashlib import blake2b
from typing import TYPE_CHECKING

import asyncpg

from neuromem.store.database.connection import DRIVER_ERRORS

if TYPE_CHECKING:
    from neuromem.store.database.database import Database

LOCK = "SELECT pg_try_advisory_lock($1, $2)"

LIVE_WORKERS = """
    SELECT l.objid FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = CAST(CAST(:kind AS bigint) AS oid)
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
"""

ORPHANS = f"""
    WITH present AS MATERIALIZED ({LIVE_WORKERS})
    UPDATE {{s}}.jobs SET lease_until = now() - interval '1 microsecond'
    WHERE lease_until >= now() AND owner IS NOT NULL
      AND NOT EXISTS (SELECT FROM present p WHERE p.objid = CAST(owner AS oid))
"""


def lock_namespace(database: Database) -> int:
    """Return the number that stands for a schema in the locks of its database."""
    return int.from_bytes(blake2b(database.schema.encode(), digest_size=4).digest()) >> 1


class WorkerLiveness:
    """One process's presence, on a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kind = lock_namespace(database)
        self._number = 0
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def owner(self) -> int | None:
        """Return the number by which leases name this process; None when nobody could tell that it is gone."""
        if not self._database.keeps_sessions:
            return None
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                try:
                    self._connection = await self._announce()
                except (*DRIVER_ERRORS, asyncpg.InternalClientError):  # the lease is enough
                    return None
        return self._number

    async def take_over(self) -> int:
        """Let the leases of workers that are gone run out; returns how many jobs they held."""
        async with self._database.worker() as transaction:
            return await transaction.run(ORPHANS, {"kind": self._kind})

    async def close(self) -> None:
        """Be gone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=2.0)
            except (*DRIVER_ERRORS, asyncpg.InternalClientError):
                connection.terminate()

    async def _announce(self) -> asyncpg.Connection:
        target = self._database.target
        connection = await asyncpg.connect(dsn=target.dsn, timeout=target.connect_timeout)
        try:
            self._number = random.randrange(1, 2**31)
            while not await connection.fetchval(LOCK, self._kind, self._number):
                self._number = random.randrange(1, 2**31)
        except BaseException:
            connection.terminate()
            raise
        return connection
