"""Reads all rows of a user, table by table, in one snapshot and with bounded memory.

Which tables and columns there are is asked of the database. A row is a line of JSON without the user's id: what
belongs to whom is said once, by the manifest.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from neuromem.store.documents.objects import StoredObject, stored_objects
from neuromem.store.queue.job_kinds import EXPORTED
from neuromem.store.schema.catalog import user_tables
from neuromem.store.search_index.vectors import ACTIVE_SPACE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.schema.catalog import UserTable

BATCH = 1_000  # rows

INDEX_TABLES = ("entries", "postings", "vectors", "corpora")
"""What things are found by: made from the data, and exported so that nothing has to be made anew."""

NOT_EXPORTED = frozenset({"imports", "emotions", "centroids"})
"""Emotions are sums that the database makes of the memories by itself, the middle of vectors is made of these."""

# Of work only what nobody can tell from the data: which messages are still to be extracted.
ONLY = {
    "jobs": f"kind = ANY({EXPORTED})",
    "vectors": "space = (SELECT space FROM {s}.spaces WHERE active)",
}

DECLARE = """
    DECLARE exported NO SCROLL CURSOR FOR
    SELECT row_to_json(x)::text AS line FROM (SELECT {columns} FROM {s}.{table} WHERE {only} ORDER BY {key}) AS x
"""
FETCH = f"FETCH {BATCH} FROM exported"


class UserExport:
    """What there is of a user, at one moment."""

    def __init__(
        self, transaction: Transaction, tables: list[UserTable], space: dict[str, Any], revision: str
    ) -> None:
        self._transaction = transaction
        self.tables = tables
        self.space = space
        self.revision = revision

    async def objects(self, user_id: str) -> list[StoredObject]:
        """Return where the bytes of the user's documents lie."""
        return await stored_objects(self._transaction, user_id)

    async def lines(self, table: UserTable) -> AsyncIterator[list[str]]:
        """Yield the rows of a table in batches, each row a line of JSON."""
        # As text, `json` comes back as it was: key order, large numbers and NUL included.
        columns = [f"{c}::text AS {c}" if kind == "json" else c for c, kind in table.portable.items()]
        sql = DECLARE.replace("{columns}", ", ".join(columns)).replace("{table}", table.name)
        sql = sql.replace("{only}", ONLY.get(table.name, "true")).replace("{key}", ", ".join(table.key))
        await self._transaction.run(sql)
        while rows := await self._transaction.all(FETCH):
            yield [row.line for row in rows]
        await self._transaction.run("CLOSE exported")


@asynccontextmanager
async def open_export(database: Database, user_id: str) -> AsyncIterator[UserExport]:
    """Open an export; tables come after those that they refer to."""
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
