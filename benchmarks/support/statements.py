"""Counts what a NeuroMemory sends to PostgreSQL.

SQLAlchemy tells what goes through it as prepared statements; the driver logs the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from asyncpg.connection import LoggedQuery

    from neuromem import NeuroMemory

AROUND = ("BEGIN", "START", "COMMIT", "ROLLBACK")


class Statements:
    """Counts round trips, and the statements among them that do not begin or end a transaction."""

    def __init__(self, nm: NeuroMemory) -> None:
        self.statements = 0
        self.trips = 0
        self._listening: set[int] = set()
        engine = nm._open_rooms.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._executed)
        event.listen(engine, "checkout", self._listen)

    def reset(self) -> None:
        """Count from 0 again."""
        self.statements = self.trips = 0

    def _listen(self, connection: Any, *_: Any) -> None:
        driver = connection.driver_connection
        if id(driver) not in self._listening:
            self._listening.add(id(driver))
            driver.add_query_logger(self._log)

    def _executed(self, *_: Any) -> None:
        self.trips += 1
        self.statements += 1

    def _log(self, record: LoggedQuery) -> None:
        self.trips += 1
        self.statements += not record.query.lstrip().upper().startswith(AROUND)
