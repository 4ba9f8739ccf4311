"""Which processes are alive: each holds a lock that the database releases the moment the process is gone.

A lease says for how long a silent process is waited for. One that was killed cannot come back, so its leases end at
once. Behind a pooler that shares connections between transactions no lock lasts, and the lease alone counts.
"""

from __future__ import annotations

import asyncio
import random
from hashlib import blake2b
from typing import TYPE_CHECKING

import asyncpg

from neuromem.store.database.connection import DRIVER_ERRORS
from neuromem.store.database.sql import Fragment, fill
from neuromem.store.queue.lease import has_lease

if TYPE_CHECKING:
    from neuromem.store.database.database import Database

LOCK = "SELECT pg_try_advisory_lock($1, $2)"

# The numbers of the processes that are alive; parameter :namespace.
LIVE_WORKERS = """
    SELECT l.objid FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = CAST(CAST(:namespace AS bigint) AS oid)
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
"""

OWNER_IS_GONE = """
    ({row}.owner IS NOT NULL
     AND NOT EXISTS (SELECT FROM ({live_workers}) AS live WHERE live.objid = CAST({row}.owner AS oid)))
"""


def owner_is_gone(row: str, live_workers: str = LIVE_WORKERS) -> Fragment:
    """Return the condition that the process that took the lease of a row, given by its alias, is not alive."""
    return fill(OWNER_IS_GONE, row=row, live_workers=live_workers)


EXPIRE_ORPHANS = fill(
    """
    WITH live AS MATERIALIZED ({live_workers})
    UPDATE {s}.jobs j SET lease_until = now() - interval '1 microsecond' WHERE {leased} AND {gone}
    """,
    live_workers=LIVE_WORKERS,
    leased=has_lease("j"),
    gone=owner_is_gone("j", "SELECT objid FROM live"),
)


def lock_namespace(database: Database) -> int:
    """Return the number that stands for a schema in the locks of its database."""
    return int.from_bytes(blake2b(database.schema.encode(), digest_size=4).digest()) >> 1


class WorkerLiveness:
    """Shows others that this process is alive, by a lock on a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._namespace = lock_namespace(database)
        self._number = 0
        self._connection: asyncpg.Connection | None = None
        self._connecting = asyncio.Lock()

    async def owner(self) -> int | None:
        """Return the number of this process, for its leases; takes the lock if it is not held.

        Returns:
            None when nobody could tell that this process is gone: behind a pooler, or without a connection.
        """
        if not self._database.keeps_sessions:
            return None
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                try:
                    self._connection = await self._connect()
                except (*DRIVER_ERRORS, asyncpg.InternalClientError):  # the lease is enough
                    return None
        return self._number

    async def expire_orphans(self) -> int:
        """Let the leases of jobs run out whose process is gone.

        Returns:
            How many jobs they held.
        """
        async with self._database.worker() as transaction:
            return await transaction.run(EXPIRE_ORPHANS, {"namespace": self._namespace})

    async def close(self) -> None:
        """Release the lock: this process holds no leases any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=2.0)
            except (*DRIVER_ERRORS, asyncpg.InternalClientError):
                connection.terminate()

    async def _connect(self) -> asyncpg.Connection:
        target = self._database.target
        connection = await asyncpg.connect(dsn=target.dsn, timeout=target.connect_timeout)
        try:
            self._number = random.randrange(1, 2**31)
            while not await connection.fetchval(LOCK, self._namespace, self._number):
                self._number = random.randrange(1, 2**31)
        except BaseException:
            connection.terminate()
            raise
        return connection
