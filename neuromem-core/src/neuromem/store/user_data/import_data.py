"""Stores the rows of an export for a user who has nothing yet, all in one transaction."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.names import name_key
from neuromem.errors import ConflictError, InputError
from neuromem.store.database.users import begin_write
from neuromem.store.schema.catalog import user_tables
from neuromem.store.search_index.centroids import update_centroid
from neuromem.store.search_index.vectors import ACTIVE_SPACE
from neuromem.store.user_data.export import NOT_EXPORTED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.schema.catalog import UserTable

KNOWN = "SELECT EXISTS (SELECT FROM {s}.imports WHERE user_id = :user AND digest = :digest)"
REMEMBER = "INSERT INTO {s}.imports (user_id, digest, created_at) VALUES (:user, :digest, :now)"

INSERT = """
    INSERT INTO {s}.{table} (user_id, {columns})
    SELECT :user, {values} FROM json_to_recordset(CAST(:rows AS json)) AS r({types})
"""

# The user is there since the transaction began; the clock never goes back.
USERS = """
    UPDATE {s}.users u SET {sets}, last_tx = greatest(u.last_tx, r.last_tx)
    FROM json_to_recordset(CAST(:rows AS json)) AS r({types}) WHERE u.user_id = :user
"""

# What makes no sense elsewhere: leases, objects that another storage holds, numbers of spaces.
INSTEAD = {
    "jobs": {"lease": "NULL", "lease_until": "NULL", "owner": "NULL", "attempts": "0", "run_after": "now()"},
    "digests": {"lease": "NULL", "lease_until": "NULL", "owner": "NULL"},
    "documents": {"object_key": "NULL", "storage": "NULL"},
    "vectors": {"space": "(SELECT space FROM {s}.spaces WHERE active)"},
}

EMBED = """
    INSERT INTO {s}.jobs (user_id, kind, capability, entry)
    SELECT :user, 'embed', 'space:' || s.space, e.entry FROM {s}.entries e CROSS JOIN {s}.spaces s
    WHERE e.user_id = :user AND s.wanted AND NOT EXISTS (
        SELECT FROM {s}.vectors v WHERE v.user_id = :user AND v.space = s.space AND v.entry = e.entry)
    ORDER BY e.entry
"""

# In the graph of somebody else, the user goes by another name.
RENAME = (
    "UPDATE {s}.nodes SET name = :name WHERE user_id = :user AND node_type = 'USER' AND node IN ("
    "SELECT node FROM {s}.node_names WHERE user_id = :user AND node_type = 'USER' AND key = :old)",
    "UPDATE {s}.node_names SET name = :name, key = :key "
    "WHERE user_id = :user AND node_type = 'USER' AND key = :old",
)


@dataclass(frozen=True, slots=True)
class UserImport:
    """A running import; ``tables`` are in the order in which they have to come."""

    transaction: Transaction
    user_id: str
    tables: Mapping[str, UserTable]
    same_space: bool

    def wanted(self, table: str) -> bool:
        """Whether the rows of a table are of use here; vectors of another space are not."""
        return self.same_space or table != "vectors"

    async def add(self, name: str, columns: Sequence[str], rows: str) -> int:
        """Store rows, a JSON array of objects with these columns; returns how many."""
        table = self.tables[name]
        types = ", ".join(
            f"{c} {'text' if table.columns[c] == 'json' else table.columns[c]}" for c in columns
        )
        params = {"user": self.user_id, "rows": rows}
        if name == "users":
            sets = ", ".join(f"{c} = r.{c}" for c in columns if c != "last_tx")
            return await self.transaction.run(USERS.replace("{sets}", sets).replace("{types}", types), params)
        instead = INSTEAD.get(name, {})
        values = [
            instead.get(c, f"CAST(r.{c} AS json)" if table.columns[c] == "json" else f"r.{c}")
            for c in columns
        ]
        sql = INSERT.replace("{values}", ", ".join(values)).replace("{types}", types)
        return await self.transaction.run(
            sql.replace("{columns}", ", ".join(columns)).replace("{table}", name), params
        )


@asynccontextmanager
async def begin_import(
    database: Database,
    user_id: str,
    *,
    digest: str,
    space: Mapping[str, Any],
    old_user: str,
) -> AsyncIterator[UserImport | None]:
    """Open an import; None when this very export was imported already. An error leaves nothing behind.

    Raises `ConflictError` when the user has other data.
    """
    async with database.user(user_id) as transaction:
        moment = await begin_write(transaction, user_id)
        if await transaction.value(KNOWN, {"user": user_id, "digest": digest}):
            yield None
            return
        tables = {table.name: table for table in (await user_tables(transaction))[::-1]}
        for name in tables.keys() - {"users", *NOT_EXPORTED}:
            if await transaction.value(
                f"SELECT EXISTS (SELECT FROM {{s}}.{name} WHERE user_id = :user)", {"user": user_id}
            ):
                raise ConflictError(
                    f"User {user_id!r} has data already (in {name}); nothing was imported. Import into another "
                    "user, or delete that one's data first with delete_user_data()."
                )
        active = await transaction.first(ACTIVE_SPACE)
        same = active is not None and all(getattr(active, name) == value for name, value in space.items())
        yield UserImport(transaction, user_id, tables, same and bool(space))
        await transaction.run(EMBED, {"user": user_id})
        if active is not None:
            await update_centroid(transaction, user_id, active.space)
        if old_user != user_id:
            names = {"user": user_id, "name": user_id, "key": name_key(user_id), "old": name_key(old_user)}
            for statement in RENAME:
                await transaction.run(statement, names)
        await transaction.run(REMEMBER, {"user": user_id, "digest": digest, "now": moment.now})


def check_tables(tables: Mapping[str, UserTable], found: Mapping[str, Sequence[str]]) -> None:
    """Raise when an export has tables or columns that this version does not know."""
    for name, columns in found.items():
        unknown = set(columns) - set(tables[name].portable) if name in tables else {"*"}
        if unknown:
            raise InputError(
                f"The export has {name}.{min(unknown)}, which this version of neuromem does not know; nothing was "
                "imported. Upgrade neuromem."
            )
