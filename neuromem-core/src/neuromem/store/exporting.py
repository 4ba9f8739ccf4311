"""Reads all rows of a user, table by table, in one snapshot and with bounded memory.

Which tables and columns there are is asked of the database. A row is a line of JSON without the user's id: what
belongs to whom is said once, by the manifest.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from neuromem.store import catalogue, objects, vectors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem.store.catalogue import Table
    from neuromem.store.engine import Database, Transaction

BATCH = 1_000  # rows

INDEX = ("entries", "postings", "vectors", "corpora")
"""What things are found by: made from the data, and exported so that nothing has to be made anew."""

LEFT_OUT = frozenset({"imports", "emotions", "middles"})
"""Emotions are sums that the database makes of the memories by itself, the middle of vectors is made of these."""

# Of work only what nobody can tell from the data: which messages are still to be extracted.
ONLY = {"jobs": "kind = 'extract'", "vectors": "space = (SELECT space FROM {s}.spaces WHERE active)"}

DECLARE = """
    DECLARE exported NO SCROLL CURSOR FOR
    SELECT row_to_json(x)::text AS line FROM (SELECT {columns} FROM {s}.{table} WHERE {only} ORDER BY {key}) AS x
"""
FETCH = f"FETCH {BATCH} FROM exported"


class Export:
    """What there is of a user, at one moment."""

    def __init__(
        self, transaction: Transaction, tables: list[Table], space: dict[str, Any], revision: str
    ) -> None:
        self._transaction = transaction
        self.tables = tables
        self.space = space
        self.revision = revision

    async def objects(self, user_id: str) -> list[objects.Kept]:
        """Return where the bytes of the user's documents lie."""
        return await objects.kept(self._transaction, user_id)

    async def lines(self, table: Table) -> AsyncIterator[list[str]]:
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
async def read(database: Database, user_id: str) -> AsyncIterator[Export]:
    """Open an export; tables come after those that they refer to."""
    async with database.reader(user_id) as transaction:
        tables = [t for t in await catalogue.tables(transaction) if t.name not in LEFT_OUT]
        active = await transaction.first(vectors.ACTIVE)
        space = {} if active is None else {
            name: getattr(active, name) for name in ("provider", "model", "dims", "revision")
        }  # fmt: skip
        revision = await transaction.value("SELECT version_num FROM {s}.alembic_version")
        yield Export(transaction, tables[::-1], space, str(revision))
