"""Counts what a NeuroMemory sends to PostgreSQL, as the driver logs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.testing.internals import database_of

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.connection import LoggedQuery

    from neuromem import NeuroMemory

AROUND = ("BEGIN", "START", "COMMIT", "ROLLBACK")
# What the driver asks once per connection, about types that it does not know.
TYPES = ("WITH RECURSIVE TYPEINFO_TREE", "SELECT CURRENT_SETTING('JIT')", "SELECT SET_CONFIG('JIT'")


class Statements:
    """Counts round trips, and the statements among them that do not begin or end a transaction."""

    def __init__(self, nm: NeuroMemory) -> None:
        self.statements = 0
        self.trips = 0
        self._listening: dict[int, asyncpg.Connection] = {}
        self._pool = database_of(nm).pool
        self._take = self._pool.take

        async def listened() -> asyncpg.Connection:
            connection = await self._take()
            if id(connection) not in self._listening:
                self._listening[id(connection)] = connection
                connection.add_query_logger(self._log)
            return connection

        setattr(self._pool, "take", listened)  # noqa: B010  a benchmark may look over the pool's shoulder

    def reset(self) -> None:
        """Count from 0 again."""
        self.statements = self.trips = 0

    def stop(self) -> None:
        """Listen no more: it costs every statement some of the time that is to be measured."""
        setattr(self._pool, "take", self._take)  # noqa: B010
        for connection in self._listening.values():
            connection.remove_query_logger(self._log)

    def _log(self, record: LoggedQuery) -> None:
        query = " ".join(record.query.split(maxsplit=3)[:3]).upper()
        if not query.startswith(TYPES):
            self.trips += 1
            self.statements += not query.startswith(AROUND)
