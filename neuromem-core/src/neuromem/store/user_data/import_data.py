"""Stores the rows of an export for a user without data, all in one transaction."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.names import name_key
from neuromem.errors import ConflictError, InputError
from neuromem.store.database.sql import fill
from neuromem.store.database.users import begin_write
from neuromem.store.schema.catalog import user_tables
from neuromem.store.search_index.centroids import update_centroid
from neuromem.store.search_index.vectors import ACTIVE_SPACE
from neuromem.store.user_data.export import NOT_EXPORTED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.schema.catalog import UserTable

IS_IMPORTED = "SELECT EXISTS (SELECT FROM {s}.imports WHERE user_id = :user AND digest = :digest)"
INSERT_IMPORT = "INSERT INTO {s}.imports (user_id, digest, created_at) VALUES (:user, :digest, :now)"

HAS_ROWS = "SELECT EXISTS (SELECT FROM {s}.{table} WHERE user_id = :user)"

INSERT_ROWS = """
    INSERT INTO {s}.{table} (user_id, {columns})
    SELECT :user, {values} FROM json_to_recordset(CAST(:rows AS json)) AS r({types})
"""

# `begin_write` has inserted the user's row already; the user's clock must not go back.
UPDATE_USER = """
    UPDATE {s}.users u SET {sets}, last_tx = greatest(u.last_tx, r.last_tx)
    FROM json_to_recordset(CAST(:rows AS json)) AS r({types}) WHERE u.user_id = :user
"""

# Columns whose exported values mean nothing in another database: leases, objects in another storage, numbers of spaces.
REPLACED_VALUES = {
    "jobs": {"lease": "NULL", "lease_until": "NULL", "owner": "NULL", "attempts": "0", "run_after": "now()"},
    "digests": {"lease": "NULL", "lease_until": "NULL", "owner": "NULL"},
    "documents": {"object_key": "NULL", "storage": "NULL"},
    "vectors": {"space": "(SELECT space FROM {s}.spaces WHERE active)"},
}

ENQUEUE_MISSING_EMBEDDINGS = """
    INSERT INTO {s}.jobs (user_id, kind, capability, entry)
    SELECT :user, 'embed', 'space:' || s.space, e.entry FROM {s}.entries e CROSS JOIN {s}.spaces s
    WHERE e.user_id = :user AND s.wanted AND NOT EXISTS (
        SELECT FROM {s}.vectors v WHERE v.user_id = :user AND v.space = s.space AND v.entry = e.entry)
    ORDER BY e.entry
"""

# The user's node in the graph has the user's id as its name.
RENAME_USER_NODE = (
    "UPDATE {s}.nodes SET name = :name WHERE user_id = :user AND node_type = 'USER' AND node IN ("
    "SELECT node FROM {s}.node_names WHERE user_id = :user AND node_type = 'USER' AND key = :old)",
    "UPDATE {s}.node_names SET name = :name, key = :key "
    "WHERE user_id = :user AND node_type = 'USER' AND key = :old",
)


@dataclass(frozen=True, slots=True)
class UserImport:
    """A running import.

    Attributes:
        transaction: The transaction of the import.
        user_id: The user who gets the rows.
        tables: The tables by name, in the order in which their rows must be added.
        same_space: Whether the vectors of the export belong to the active embedding space.
    """

    transaction: Transaction
    user_id: str
    tables: Mapping[str, UserTable]
    same_space: bool

    def wanted(self, table: str) -> bool:
        """Return whether the rows of a table can be imported; vectors of another space cannot."""
        return self.same_space or table != "vectors"

    async def add(self, name: str, columns: Sequence[str], rows: str) -> int:
        """Store rows of a table.

        Args:
            name: The table.
            columns: The columns that the rows have.
            rows: A JSON array of objects with these columns.

        Returns:
            How many rows were stored.
        """
        table = self.tables[name]
        types = ", ".join(
            f"{c} {'text' if table.columns[c] == 'json' else table.columns[c]}" for c in columns
        )
        params = {"user": self.user_id, "rows": rows}
        if name == "users":
            sets = ", ".join(f"{c} = r.{c}" for c in columns if c != "last_tx")
            return await self.transaction.run(fill(UPDATE_USER, sets=sets, types=types), params)
        replaced = REPLACED_VALUES.get(name, {})
        values = [
            replaced.get(c, f"CAST(r.{c} AS json)" if table.columns[c] == "json" else f"r.{c}")
            for c in columns
        ]
        sql = fill(INSERT_ROWS, table=name, columns=", ".join(columns), values=", ".join(values), types=types)
        return await self.transaction.run(sql, params)


@asynccontextmanager
async def begin_import(
    database: Database,
    user_id: str,
    *,
    digest: str,
    space: Mapping[str, Any],
    old_user: str,
) -> AsyncIterator[UserImport | None]:
    """Open an import; leaving it without an error stores it, an error leaves nothing behind.

    Args:
        database: The database to write to.
        user_id: The user who gets the rows.
        digest: A hash of the export, by which it is recognized.
        space: The embedding space of the export; empty without one.
        old_user: The user from whom the export is.

    Yields:
        The import; None when this very export was imported already.

    Raises:
        ConflictError: The user has other data.
    """
    async with database.user(user_id) as transaction:
        stamp = await begin_write(transaction, user_id)
        if await transaction.value(IS_IMPORTED, {"user": user_id, "digest": digest}):
            yield None
            return
        tables = {table.name: table for table in (await user_tables(transaction))[::-1]}
        for name in tables.keys() - {"users", *NOT_EXPORTED}:
            if await transaction.value(fill(HAS_ROWS, table=name), {"user": user_id}):
                raise ConflictError(
                    f"User {user_id!r} has data already (in {name}); nothing was imported. Import into another "
                    "user, or delete that one's data first with delete_user_data()."
                )
        active = await transaction.first(ACTIVE_SPACE)
        same = active is not None and all(getattr(active, name) == value for name, value in space.items())
        yield UserImport(transaction, user_id, tables, same and bool(space))
        await transaction.run(ENQUEUE_MISSING_EMBEDDINGS, {"user": user_id})
        if active is not None:
            await update_centroid(transaction, user_id, active.space)
        if old_user != user_id:
            names = {"user": user_id, "name": user_id, "key": name_key(user_id), "old": name_key(old_user)}
            for statement in RENAME_USER_NODE:
                await transaction.run(statement, names)
        await transaction.run(INSERT_IMPORT, {"user": user_id, "digest": digest, "now": stamp.now})


def check_tables(tables: Mapping[str, UserTable], found: Mapping[str, Sequence[str]]) -> None:
    """Check that an export has only tables and columns that this version knows.

    Args:
        tables: The tables of this version by name.
        found: The columns of the export by table.

    Raises:
        InputError: The export has others.
    """
    for name, columns in found.items():
        unknown = set(columns) - set(tables[name].portable) if name in tables else {"*"}
        if unknown:
            raise InputError(
                f"The export has {name}.{min(unknown)}, which this version of neuromem does not know; nothing was "
                "imported. Upgrade neuromem."
            )
