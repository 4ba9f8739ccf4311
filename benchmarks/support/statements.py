"""Counts what a NeuroMemory sends to PostgreSQL, through SQLAlchemy's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from neuromem import NeuroMemory


class Statements:
    """Counts statements, and round trips: statements and the beginnings and ends of transactions."""

    def __init__(self, nm: NeuroMemory) -> None:
        self.statements = 0
        self.boundaries = 0
        engine = nm._open_rooms.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._statement)
        for name in ("begin", "commit", "rollback"):
            event.listen(engine, name, self._boundary)

    @property
    def trips(self) -> int:
        """Statements, begins, commits and rollbacks."""
        return self.statements + self.boundaries

    def reset(self) -> None:
        """Count from 0 again."""
        self.statements = self.boundaries = 0

    def _statement(self, *_: Any) -> None:
        self.statements += 1

    def _boundary(self, *_: Any) -> None:
        self.boundaries += 1
