"""How often memories were of use: counted in the process, written aside, never on the way of a question."""

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

DELAY = 5.0  # seconds between a question and the writing down of what it found

# Nothing is written for a user who has left, nor for a memory that was erased.
ADD = """
    WITH there AS MATERIALIZED (SELECT FROM {s}.users WHERE user_id = :user FOR KEY SHARE)
    INSERT INTO {s}.accesses AS a (user_id, memory_id, accesses, last_at)
    SELECT :user, n.memory_id, n.accesses, n.last_at
    FROM unnest(CAST(:memories AS uuid[]), CAST(:counts AS int[]), CAST(:moments AS timestamptz[]))
         AS n(memory_id, accesses, last_at)
    CROSS JOIN there
    WHERE EXISTS (SELECT FROM {s}.memories m WHERE m.user_id = :user AND m.memory_id = n.memory_id)
    ORDER BY n.memory_id
    ON CONFLICT (user_id, memory_id) DO UPDATE SET
        accesses = a.accesses + excluded.accesses, last_at = greatest(a.last_at, excluded.last_at)
"""


@dataclass(slots=True)
class _Use:
    times: int
    last: datetime


class AccessCounts:
    """Counts what recall returned; what is not written when the process dies is lost, which is only statistics."""

    def __init__(self, database: Database, delay: float = DELAY) -> None:
        self._database = database
        self._delay = delay
        self._noted: dict[str, dict[str, _Use]] = defaultdict(dict)
        self._writing: asyncio.Task[None] | None = None

    def note(self, user_id: str, memories: Iterable[str]) -> None:
        """Count memories that were of use just now."""
        now = datetime.now(UTC)
        for memory in memories:
            use = self._noted[user_id].setdefault(memory, _Use(0, now))
            use.times += 1
            use.last = now
        if self._noted and self._writing is None:
            self._writing = asyncio.create_task(self._later(), name="neuromem-accesses")

    async def flush(self, user_id: str | None = None) -> None:
        """Write down what was counted, of one user or of all."""
        for user in list(self._noted) if user_id is None else [user_id]:
            used = self._noted.pop(user, None)
            if used:
                await self._write(user, used)

    async def close(self) -> None:
        """Write down what was counted and stop."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._quietly()

    async def _later(self) -> None:
        await asyncio.sleep(self._delay)
        await self._quietly()
        self._writing = None

    async def _quietly(self) -> None:
        try:
            await self.flush()
        except DatabaseError:
            logger.warning("Which memories were of use could not be written down.", exc_info=True)

    async def _write(self, user_id: str, used: dict[str, _Use]) -> None:
        async with self._database.user(user_id) as transaction:
            await transaction.run(
                ADD,
                {
                    "user": user_id,
                    "memories": list(used),
                    "counts": [use.times for use in used.values()],
                    "moments": [use.last for use in used.values()],
                },
            )
