"""Reads all rows of a user, table by table, in one snapshot and with bounded memory.

Which tables and columns there are is asked of the database. A row becomes a line of JSON without the user's id, which
the manifest of the export has once.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from neuromem.store.database.sql import fill
from neuromem.store.documents.objects import StoredObject, stored_objects
from neuromem.store.queue.job_kinds import EXPORTED
from neuromem.store.schema.catalog import user_tables
from neuromem.store.search_index.vectors import ACTIVE_SPACE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.schema.catalog import UserTable

BATCH = 1_000
"""How many rows are fetched at once."""

INDEX_TABLES = ("entries", "postings", "vectors", "corpora")
"""The search index: derived, and exported all the same, so that an import need not compute it again."""

NOT_EXPORTED = frozenset({"imports", "emotions", "centroids"})
"""Imports belong to one database; emotions and centroids are computed from the imported rows."""

# Of the jobs only those that do not follow from the data: which messages have yet to be extracted.
EXPORTED_ROWS = {
    "jobs": f"kind = ANY({EXPORTED})",
    "vectors": "space = (SELECT space FROM {s}.spaces WHERE active)",
}

DECLARE_CURSOR = """
    DECLARE exported NO SCROLL CURSOR FOR
    SELECT row_to_json(x)::text AS line
    FROM (SELECT {columns} FROM {s}.{table} WHERE {exported_rows} ORDER BY {key}) AS x
"""
FETCH_BATCH = f"FETCH {BATCH} FROM exported"


class UserExport:
    """Everything of a user in one snapshot.

    Attributes:
        tables: The exported tables, each after those that it refers to.
        space: The active embedding space; empty without one.
        revision: The revision of the database's schema.
    """

    def __init__(
        self, transaction: Transaction, tables: list[UserTable], space: dict[str, Any], revision: str
    ) -> None:
        self._transaction = transaction
        self.tables = tables
        self.space = space
        self.revision = revision

    async def objects(self, user_id: str) -> list[StoredObject]:
        """Return where the bytes of the user's documents are."""
        return await stored_objects(self._transaction, user_id)

    async def lines(self, table: UserTable) -> AsyncIterator[list[str]]:
        """Yield the rows of a table in batches, each row a line of JSON."""
        # Values of type `json` go as text, which keeps the order of keys, large numbers and NUL.
        columns = [f"{c}::text AS {c}" if kind == "json" else c for c, kind in table.portable.items()]
        sql = fill(
            DECLARE_CURSOR,
            columns=", ".join(columns),
            table=table.name,
            exported_rows=EXPORTED_ROWS.get(table.name, "true"),
            key=", ".join(table.key),
        )
        await self._transaction.run(sql)
        while rows := await self._transaction.all(FETCH_BATCH):
            yield [row.line for row in rows]
        await self._transaction.run("CLOSE exported")


@asynccontextmanager
async def open_export(database: Database, user_id: str) -> AsyncIterator[UserExport]:
    """Open an export, which reads in one transaction until it is closed."""
    async with database.reader(user_id) as transaction:
        tables = [t for t in await user_tables(transaction) if t.name not in NOT_EXPORTED]
        active = await transaction.first(ACTIVE_SPACE)
        space = (
            {}
            if active is None
            else {name: getattr(active, name) for name in ("provider", "model", "dims", "revision")}
        )
        revision = await transaction.value("SELECT version_num FROM {s}.alembic_version")
        yield UserExport(transaction, tables[::-1], space, str(revision))
