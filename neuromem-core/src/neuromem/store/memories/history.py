"""Reads the versions of a memory, and what changed between two moments.

The rule that this module decides: something was learned when it was known at the later moment alone, forgotten when at
the earlier moment alone, and changed when in both with different versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.memories import MemoryVersion
from neuromem.store.database.sql import fill
from neuromem.store.database.users import begin_write
from neuromem.store.kv.kv import read_profile
from neuromem.store.memories.memory_rows import MEMORY_COLUMNS, memory_columns, memory_from_row
from neuromem.store.memories.rollback import roll_back_tables
from neuromem.store.search_index.filters import memory_holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

SELECT_VERSIONS = fill(
    """
    SELECT {columns}, m.superseded_why FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_id = CAST(:memory AS uuid) ORDER BY m.version
    """,
    columns=MEMORY_COLUMNS,
)

# The versions that held at one moment and not at the other.
VERSIONS_HOLDING_ONLY_THEN = """
    SELECT {columns} FROM {s}.memories m
    WHERE m.user_id = :user AND {holds} AND NOT ({holds_at_other}) ORDER BY m.created_at, m.memory_id
"""

EDGES_KNOWN_ONLY_THEN = """
    SELECT e.edge_id, coalesce(e.name, e.relation) AS relation, e.valid_from, e.valid_until,
           (SELECT n.name FROM {s}.nodes n WHERE n.user_id = :user AND n.node = e.source
            ORDER BY n.version DESC LIMIT 1) AS source,
           (SELECT n.name FROM {s}.nodes n WHERE n.user_id = :user AND n.node = e.target
            ORDER BY n.version DESC LIMIT 1) AS target
    FROM {s}.edges e
    WHERE e.user_id = :user AND e.created_at <= :as_of AND (e.superseded_at IS NULL OR e.superseded_at > :as_of)
      AND NOT (e.created_at <= :other AND (e.superseded_at IS NULL OR e.superseded_at > :other))
    ORDER BY e.created_at, e.edge_id
"""


async def memory_versions(database: Database, user_id: str, memory_id: str) -> list[MemoryVersion]:
    """Return every version of a memory, the first one first; empty without such a memory."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(SELECT_VERSIONS, {"user": user_id, "memory": memory_id})
    return [version_from_row(row) for row in rows]


async def roll_back_user(database: Database, user_id: str, to: datetime) -> tuple[int, int]:
    """Restore what was known at a moment (see `rollback.py`).

    Args:
        database: The database to write to.
        user_id: Whose data.
        to: The moment.

    Returns:
        How many versions ended and how many were added.
    """
    async with database.user(user_id) as transaction:
        now = (await begin_write(transaction, user_id)).now
        return await roll_back_tables(transaction, user_id, to, now)


async def diff_user(database: Database, user_id: str, begin: datetime, end: datetime) -> dict[str, Any]:
    """Return what was learned, changed and forgotten between two moments.

    Args:
        database: The database to read from.
        user_id: Whose data.
        begin: The first moment.
        end: The second moment.

    Returns:
        Memories under "learned", "changed" and "forgotten"; relations under "relations" and the profile under
        "profile", each with the same three keys.
    """
    async with database.reader(user_id, as_of=max(begin, end)) as transaction:
        old = await _versions_only_at(transaction, user_id, begin, end)
        new = await _versions_only_at(transaction, user_id, end, begin)
        ended = await transaction.all(EDGES_KNOWN_ONLY_THEN, {"user": user_id, "as_of": begin, "other": end})
        begun = await transaction.all(EDGES_KNOWN_ONLY_THEN, {"user": user_id, "as_of": end, "other": begin})
        profile = [await read_profile(transaction, user_id, moment) for moment in (begin, end)]
    before, after = ({str(row.memory_id): row for row in rows} for rows in (old, new))
    return {
        "learned": [memory_from_row(row) for key, row in after.items() if key not in before],
        "changed": [_change(before[key], row) for key, row in after.items() if key in before],
        "forgotten": [memory_from_row(row) for key, row in before.items() if key not in after],
        "relations": _compare(
            {str(r.edge_id): _edge(r) for r in ended}, {str(r.edge_id): _edge(r) for r in begun}
        ),
        "profile": _compare(profile[0], profile[1]),
    }


async def _versions_only_at(
    transaction: Transaction, user_id: str, moment: datetime, other: datetime
) -> Sequence[Row]:
    sql = fill(
        VERSIONS_HOLDING_ONLY_THEN,
        columns=memory_columns(moment),
        holds=memory_holds(moment),
        holds_at_other=memory_holds(other).rename_parameter("as_of", "other"),
    )
    return await transaction.all(sql, {"user": user_id})


def version_from_row(row: Row) -> MemoryVersion:
    """Return the version in a row, with who made it and why it ended."""
    memory = memory_from_row(row)
    by, why = version_author(memory.origin)
    fields = {name: getattr(memory, name) for name in memory.__dataclass_fields__}
    ended = None if row.superseded_at is None else row.superseded_why or "superseded"
    return MemoryVersion(**fields, by=by, why=why, ended=ended)


def version_author(origin: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return who made a version, and further details of that, None without any."""
    if "rollback" in origin:
        return "rollback", f"to {origin['rollback']['to']}"
    if "restored" in origin:
        return "restore", None
    by = str(origin.get("by", "user"))
    details = [
        f"{name} {origin[name]}" for name in ("extractor", "model", "prompt", "why") if origin.get(name)
    ]
    return by, ", ".join(details) or None


def _change(old: Row, new: Row) -> dict[str, Any]:
    before, after = memory_from_row(old), memory_from_row(new)
    by, why = version_author(after.origin)
    return {"before": before, "after": after, "by": by, "why": why}


def _edge(row: Row) -> dict[str, Any]:
    return {
        "subject": row.source,
        "relation": row.relation,
        "object": row.target,
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
    }


def _compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "learned": {key: new[key] for key in new if key not in old},
        "changed": {
            key: {"before": old[key], "after": new[key]} for key in new if key in old and old[key] != new[key]
        },
        "forgotten": {key: old[key] for key in old if key not in new},
    }
