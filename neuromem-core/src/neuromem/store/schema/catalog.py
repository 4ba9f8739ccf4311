"""Reads from PostgreSQL's catalog which tables hold rows of users.

Deletion, export, import and rollback ask here instead of keeping a list, so that a new table cannot be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from neuromem.store.database.database import Transaction

SELECT_USER_TABLES = """
    SELECT c.relname::text AS name,
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
           ARRAY(SELECT format_type(a.atttypid, NULL) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS types,
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND (a.attidentity <> '' OR a.attgenerated <> '')) AS generated,
           ARRAY(SELECT a.attname::text
                 FROM pg_index i CROSS JOIN unnest(i.indkey::int[]) WITH ORDINALITY AS k(number, place)
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
                 WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place) AS key,
           ARRAY(SELECT DISTINCT p.relname::text FROM pg_constraint f JOIN pg_class p ON p.oid = f.confrelid
                 WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> f.conrelid) AS parents
    FROM pg_class c
    WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = CAST('{s}.users' AS regclass))
      AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND EXISTS (SELECT FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped)
    ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table with rows of users.

    Attributes:
        name: Its name, without the schema.
        columns: The types of its columns, by name, in their order.
        generated: The columns that the database fills itself.
        key: The columns of its primary key.
        parents: The tables that its foreign keys refer to.
    """

    name: str
    columns: Mapping[str, str]
    generated: frozenset[str]
    key: tuple[str, ...]
    parents: frozenset[str]

    @property
    def portable(self) -> dict[str, str]:
        """The columns that an export takes along, with their types: not the user, not what the database fills."""
        return {c: t for c, t in self.columns.items() if c != "user_id" and c not in self.generated}


async def user_tables(transaction: Transaction) -> list[UserTable]:
    """Return the tables that hold rows of users, each before those that it refers to."""
    rows = await transaction.all(SELECT_USER_TABLES)
    found = [
        UserTable(
            row.name,
            dict(zip(row.columns, row.types, strict=True)),
            frozenset(row.generated),
            tuple(row.key),
            frozenset(row.parents),
        )
        for row in rows
    ]
    return _children_first(found)


def _children_first(found: Iterable[UserTable]) -> list[UserTable]:
    left = {table.name: table for table in found}
    ordered: list[UserTable] = []
    while left:
        wanted = {parent for table in left.values() for parent in table.parents}
        free = [table for name, table in left.items() if name not in wanted]
        assert free, f"the tables {sorted(left)} refer to each other in a circle"
        for table in free:
            del left[table.name]
        ordered += free
    return ordered
