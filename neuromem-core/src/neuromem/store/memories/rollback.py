"""Brings back what was known at a moment, as new versions: nothing of the time between is lost.

One rule for every table of versions: what began after the moment ends now; what held then and does not hold any
more begins again now. A rollback is a change like any other, so it can be rolled back itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.kv import VERSIONED_NAMESPACES
from neuromem.store.database.users import reserve_entries
from neuromem.store.memories.closing import close_memories, retire_unsupported_later
from neuromem.store.memories.versions import VersionCopy, expire_memories, insert_versions
from neuromem.store.schema.catalog import user_tables
from neuromem.store.search_index.entries import EntryCopy, copy_entries

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.store.database.database import Transaction
    from neuromem.store.schema.catalog import UserTable


@dataclass(frozen=True, slots=True)
class VersionedTable:
    """A table whose rows are versions; ``identity`` names the thing, ``counted`` whether it is told."""

    table: str
    identity: tuple[str, ...]
    counted: bool = True
    kept: str = "true"


# Memories go their own way: they are indexed.
VERSIONED_TABLES = (
    VersionedTable("nodes", ("node",), counted=False),
    VersionedTable("node_names", ("key", "node_type"), counted=False),
    VersionedTable("edges", ("edge_id",)),
    VersionedTable("evidence", ("insight", "memory_id"), counted=False),
    VersionedTable("moods", (), counted=False),
    VersionedTable("kv", ("namespace", "key"), kept="namespace = ANY(CAST(:past_kept AS text[]))"),
)
# What has versions and is not rolled back, each with the reason.
NOT_ROLLED_BACK = {
    "memories": "rolled back by `memories`",
    "entries": "follow what they are found by",
    "documents": "files are the user's own, not what was concluded; the bytes of a deleted one are gone",
}

CLOSE = """
    UPDATE {s}.{table} SET superseded_at = :now {why}
    WHERE user_id = :user AND superseded_at IS NULL AND created_at > :to AND {kept}
"""

RESTORE = """
    INSERT INTO {s}.{table} ({columns})
    SELECT {values} FROM {s}.{table} m
    WHERE m.user_id = :user AND m.created_at <= :to AND m.superseded_at > :to AND {kept}
"""

NEXT = "(SELECT max(l.version) + 1 FROM {s}.{table} l WHERE l.user_id = :user AND {same})"

MARKED = "(m.origin - 'restored') || CAST(:mark AS jsonb)"

# Merges and aliases since then are undone by what is restored.
UNDONE = """
    UPDATE {s}.graph_changes SET undone_at = :now
    WHERE user_id = :user AND created_at > :to AND undone_at IS NULL
"""

# What was digested since then is not digested any more: what came of it is gone.
UNDIGESTED = """
    UPDATE {s}.memories SET digested_at = NULL
    WHERE user_id = :user AND superseded_at IS NULL AND digested_at > :to
"""

CLOSE_MEMORIES = """
    UPDATE {s}.memories SET superseded_at = :now, superseded_why = 'rollback'
    WHERE user_id = :user AND superseded_at IS NULL AND created_at > :to
    RETURNING entry
"""

HELD = """
    SELECT m.memory_id, m.version, m.entry,
           (SELECT max(l.version) + 1 FROM {s}.memories l
            WHERE l.user_id = :user AND l.memory_id = m.memory_id) AS successor
    FROM {s}.memories m
    WHERE m.user_id = :user AND m.created_at <= :to AND m.superseded_at > :to
      AND (m.expires_at IS NULL OR m.expires_at > :now)
    ORDER BY m.memory_id
"""


async def roll_back_tables(
    transaction: Transaction, user_id: str, to: datetime, now: datetime
) -> tuple[int, int]:
    """Return how many versions were ended and how many brought back, in a transaction that began at ``now``."""
    ended, back = await roll_back_memories(transaction, user_id, to, now)
    tables = {table.name: table for table in await user_tables(transaction)}
    for one in VERSIONED_TABLES:
        gone, again = await _rows(transaction, user_id, one, tables[one.table], to, now)
        if one.counted:
            ended, back = ended + gone, back + again
    await transaction.run(UNDONE, {"user": user_id, "to": to, "now": now})
    await transaction.run(UNDIGESTED, {"user": user_id, "to": to})
    retire_unsupported_later(transaction, user_id)
    return ended, back


async def roll_back_memories(
    transaction: Transaction, user_id: str, to: datetime, now: datetime
) -> tuple[int, int]:
    """Roll memories back together with what they are found by."""
    # What has expired since is not held because of that, and needs no version for it.
    await expire_memories(transaction, user_id)
    span = {"user": user_id, "to": to, "now": now}
    closed = [row.entry for row in await transaction.all(CLOSE_MEMORIES, span)]
    await close_memories(transaction, user_id, closed, now)
    held = await transaction.all(HELD, span)
    if held:
        first = await reserve_entries(transaction, user_id, len(held))
        picks = [
            VersionCopy(str(row.memory_id), row.version, row.successor, first + i)
            for i, row in enumerate(held)
        ]
        mark = json.dumps({"rollback": {"to": to.isoformat(), "at": now.isoformat()}})
        changes = {"origin": MARKED}
        await insert_versions(transaction, user_id, picks, now, changes, {"mark": mark})
        copies = [
            EntryCopy(row.entry, pick.entry, pick.memory_id, pick.successor)
            for row, pick in zip(held, picks, strict=True)
        ]
        await copy_entries(transaction, user_id, copies, now)
    return len(closed), len(held)


async def _rows(
    transaction: Transaction, user_id: str, one: VersionedTable, table: UserTable, to: datetime, now: datetime
) -> tuple[int, int]:
    mark = json.dumps({"rollback": {"to": to.isoformat(), "at": now.isoformat()}})
    span: dict[str, Any] = {
        "user": user_id,
        "to": to,
        "now": now,
        "mark": mark,
        "past_kept": sorted(VERSIONED_NAMESPACES),
    }
    values = {column: f"m.{column}" for column in table.columns}
    values |= {"created_at": "CAST(:now AS timestamptz)", "superseded_at": "CAST(NULL AS timestamptz)"}
    if "origin" in values:
        values["origin"] = MARKED
    if "version" in values:
        same = " AND ".join(f"l.{column} = m.{column}" for column in one.identity)
        values["version"] = NEXT.replace("{same}", same)
    why = ", superseded_why = 'rollback'" if "superseded_why" in values else ""

    def fill(sql: str) -> str:
        for name, text in {
            "{columns}": ", ".join(values),
            "{values}": ", ".join(values.values()),
            "{kept}": one.kept,
            "{why}": why,
            "{table}": one.table,
        }.items():
            sql = sql.replace(name, text)
        return sql

    closed = await transaction.run(fill(CLOSE), span)
    return closed, await transaction.run(fill(RESTORE), span)
