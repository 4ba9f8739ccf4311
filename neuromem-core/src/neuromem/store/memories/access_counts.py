"""Access counts: how often recall returned a memory, buffered in the process and written outside of recall."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neuromem.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuromem.store.database.database import Database

logger = logging.getLogger("neuromem")

DELAY = 5.0
"""Seconds between the first access that is not written and the write."""

# Nothing is written for a user who was deleted, nor for a memory that was erased.
ADD_ACCESSES = """
    WITH existing_user AS MATERIALIZED (SELECT FROM {s}.users WHERE user_id = :user FOR KEY SHARE)
    INSERT INTO {s}.accesses AS a (user_id, memory_id, accesses, last_at)
    SELECT :user, n.memory_id, n.accesses, n.last_at
    FROM unnest(CAST(:memories AS uuid[]), CAST(:counts AS int[]), CAST(:moments AS timestamptz[]))
         AS n(memory_id, accesses, last_at)
    CROSS JOIN existing_user
    WHERE EXISTS (SELECT FROM {s}.memories m WHERE m.user_id = :user AND m.memory_id = n.memory_id)
    ORDER BY n.memory_id
    ON CONFLICT (user_id, memory_id) DO UPDATE SET
        accesses = a.accesses + excluded.accesses, last_at = greatest(a.last_at, excluded.last_at)
"""


@dataclass(slots=True)
class _Accesses:
    count: int
    last: datetime


class AccessCounts:
    """Counts what recall returned. Counts that are not written when the process dies are lost: they are statistics."""

    def __init__(self, database: Database, delay: float = DELAY) -> None:
        """Count for a database.

        Args:
            database: The database to write to.
            delay: Seconds between the first access that is not written and the write.
        """
        self._database = database
        self._delay = delay
        self._buffered: dict[str, dict[str, _Accesses]] = defaultdict(dict)
        self._writer: asyncio.Task[None] | None = None

    def note(self, user_id: str, memories: Iterable[str]) -> None:
        """Count an access of each of these memories, now."""
        now = datetime.now(UTC)
        for memory in memories:
            accesses = self._buffered[user_id].setdefault(memory, _Accesses(0, now))
            accesses.count += 1
            accesses.last = now
        if self._buffered and self._writer is None:
            self._writer = asyncio.create_task(self._flush_later(), name="neuromem-accesses")

    async def flush(self, user_id: str | None = None) -> None:
        """Write the buffered counts of one user, or of all (None)."""
        for user in list(self._buffered) if user_id is None else [user_id]:
            accesses = self._buffered.pop(user, None)
            if accesses:
                await self._write(user, accesses)

    async def close(self) -> None:
        """Write the buffered counts and stop."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self._flush_or_warn()

    async def _flush_later(self) -> None:
        await asyncio.sleep(self._delay)
        await self._flush_or_warn()
        self._writer = None

    async def _flush_or_warn(self) -> None:
        try:
            await self.flush()
        except DatabaseError:
            logger.warning("The access counts of memories could not be written.", exc_info=True)

    async def _write(self, user_id: str, accesses: dict[str, _Accesses]) -> None:
        async with self._database.user(user_id) as transaction:
            await transaction.run(
                ADD_ACCESSES,
                {
                    "user": user_id,
                    "memories": list(accesses),
                    "counts": [one.count for one in accesses.values()],
                    "moments": [one.last for one in accesses.values()],
                },
            )
