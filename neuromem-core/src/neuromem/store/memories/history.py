"""What was known when: the versions of a memory, and what changed between two moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.memories import MemoryVersion
from neuromem.store.database.users import begin_write
from neuromem.store.kv.kv import read_profile
from neuromem.store.memories.query import memory_columns, memory_holds
from neuromem.store.memories.rollback import roll_back_tables
from neuromem.store.memories.write import MEMORY_COLUMNS, memory_from_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

VERSIONS = f"""
    SELECT {MEMORY_COLUMNS}, m.superseded_why FROM {{s}}.memories m
    WHERE m.user_id = :user AND m.memory_id = CAST(:memory AS uuid) ORDER BY m.version
"""

# The versions that held at one of two moments and not at the other.
DIFFERENT = """
    SELECT {columns} FROM {s}.memories m
    WHERE m.user_id = :user AND {then} AND NOT ({other}) ORDER BY m.created_at, m.memory_id
"""

EDGES = """
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
    """Return every version of a memory, the first one first; empty when there is no such memory."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(VERSIONS, {"user": user_id, "memory": memory_id})
    return [version_from_row(row) for row in rows]


async def roll_back_user(database: Database, user_id: str, to: datetime) -> tuple[int, int]:
    """Bring back what was known at a moment; see `rollback`."""
    async with database.user(user_id) as transaction:
        now = (await begin_write(transaction, user_id)).now
        return await roll_back_tables(transaction, user_id, to, now)


async def diff_user(database: Database, user_id: str, begin: datetime, end: datetime) -> dict[str, Any]:
    """Return what was learned, changed and forgotten between two moments."""
    async with database.reader(user_id, as_of=max(begin, end)) as transaction:
        old = await _different(transaction, user_id, begin, end)
        new = await _different(transaction, user_id, end, begin)
        ended = await transaction.all(EDGES, {"user": user_id, "as_of": begin, "other": end})
        begun = await transaction.all(EDGES, {"user": user_id, "as_of": end, "other": begin})
        profile = [await read_profile(transaction, user_id, moment) for moment in (begin, end)]
    before, after = ({str(row.memory_id): row for row in rows} for rows in (old, new))
    return {
        "learned": [memory_from_row(row) for key, row in after.items() if key not in before],
        "changed": [_change(before[key], row) for key, row in after.items() if key in before],
        "forgotten": [memory_from_row(row) for key, row in before.items() if key not in after],
        "relations": _compared(
            {str(r.edge_id): _edge(r) for r in ended}, {str(r.edge_id): _edge(r) for r in begun}
        ),
        "profile": _compared(profile[0], profile[1]),
    }


async def _different(
    transaction: Transaction, user_id: str, moment: datetime, other: datetime
) -> Sequence[Row]:
    then, _ = memory_holds(moment)
    sql = DIFFERENT.replace("{columns}", memory_columns(moment)).replace("{then}", then)
    return await transaction.all(
        sql.replace("{other}", then.replace(":as_of", ":other")),
        {"user": user_id, "as_of": moment, "other": other},
    )


def version_from_row(row: Row) -> MemoryVersion:
    """Return the version in a row, with who made it and why it ended."""
    memory = memory_from_row(row)
    by, why = version_author(memory.origin)
    fields = {name: getattr(memory, name) for name in memory.__dataclass_fields__}
    ended = None if row.superseded_at is None else row.superseded_why or "superseded"
    return MemoryVersion(**fields, by=by, why=why, ended=ended)


def version_author(origin: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return who made a version, and what more is known of that."""
    if "rollback" in origin:
        return "rollback", f"to {origin['rollback']['to']}"
    if "restored" in origin:
        return "restore", None
    by = str(origin.get("by", "user"))
    said = [f"{name} {origin[name]}" for name in ("extractor", "model", "prompt", "why") if origin.get(name)]
    return by, ", ".join(said) or None


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


def _compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "learned": {key: new[key] for key in new if key not in old},
        "changed": {
            key: {"before": old[key], "after": new[key]} for key in new if key in old and old[key] != new[key]
        },
        "forgotten": {key: old[key] for key in old if key not in new},
    }
