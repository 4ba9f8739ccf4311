"""Restores what was known at a moment, as new versions: nothing of the time between is lost.

The rule that this module decides, the same for every table of versions: versions that began after the moment end now;
versions that were current at the moment and have ended since begin again now. A rollback is a change like any other and
can itself be rolled back. Erased data stays erased.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.kv import VERSIONED_NAMESPACES
from neuromem.store.database.sql import fill
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
    """A table whose rows are versions.

    Attributes:
        table: Its name.
        identity: The columns that identify the thing of which the rows are versions.
        counted: Whether its rows count in the result of a rollback.
        kept: The condition for rows whose namespace keeps versions.
    """

    table: str
    identity: tuple[str, ...]
    counted: bool = True
    kept: str = "true"


# Without memories, which are indexed: see `roll_back_memories`.
VERSIONED_TABLES = (
    VersionedTable("nodes", ("node",), counted=False),
    VersionedTable("node_names", ("key", "node_type"), counted=False),
    VersionedTable("edges", ("edge_id",)),
    VersionedTable("evidence", ("insight", "memory_id"), counted=False),
    VersionedTable("moods", (), counted=False),
    VersionedTable("kv", ("namespace", "key"), kept="namespace = ANY(CAST(:versioned AS text[]))"),
)
# Further tables with versions, each with the reason why it is not in the list above.
NOT_ROLLED_BACK = {
    "memories": "rolled back by `roll_back_memories`",
    "entries": "rolled back with the memories that they index",
    "documents": "files are the user's own, not what was concluded; the bytes of a deleted one are deleted too",
}

CLOSE_LATER_VERSIONS = """
    UPDATE {s}.{table} SET superseded_at = :now {why}
    WHERE user_id = :user AND superseded_at IS NULL AND created_at > :to AND {kept}
"""

COPY_VERSIONS_CURRENT_THEN = """
    INSERT INTO {s}.{table} ({columns})
    SELECT {values} FROM {s}.{table} m
    WHERE m.user_id = :user AND m.created_at <= :to AND m.superseded_at > :to AND {kept}
"""

NEXT_VERSION_NUMBER = "(SELECT max(l.version) + 1 FROM {s}.{table} l WHERE l.user_id = :user AND {same})"

ORIGIN_WITH_MARK = "(m.origin - 'restored') || CAST(:mark AS jsonb)"

# Merges and aliases made since then are undone by the restored rows.
MARK_GRAPH_CHANGES_UNDONE = """
    UPDATE {s}.graph_changes SET undone_at = :now
    WHERE user_id = :user AND created_at > :to AND undone_at IS NULL
"""

# What digests have concluded since then has ended, so their memories have to be digested again.
MARK_UNDIGESTED = """
    UPDATE {s}.memories SET digested_at = NULL
    WHERE user_id = :user AND superseded_at IS NULL AND digested_at > :to
"""

CLOSE_LATER_MEMORIES = """
    UPDATE {s}.memories SET superseded_at = :now, superseded_why = 'rollback'
    WHERE user_id = :user AND superseded_at IS NULL AND created_at > :to
    RETURNING entry
"""

MEMORIES_CURRENT_THEN = """
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
    """Roll back everything of a user that has versions.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose data.
        to: The moment to restore.
        now: The moment of the transaction on the user's clock.

    Returns:
        How many versions ended and how many were added, memories and the counted tables together.
    """
    ended, added = await roll_back_memories(transaction, user_id, to, now)
    tables = {table.name: table for table in await user_tables(transaction)}
    for versioned in VERSIONED_TABLES:
        closed, copied = await _roll_back_table(
            transaction, user_id, versioned, tables[versioned.table], to, now
        )
        if versioned.counted:
            ended, added = ended + closed, added + copied
    await transaction.run(MARK_GRAPH_CHANGES_UNDONE, {"user": user_id, "to": to, "now": now})
    await transaction.run(MARK_UNDIGESTED, {"user": user_id, "to": to})
    retire_unsupported_later(transaction, user_id)
    return ended, added


async def roll_back_memories(
    transaction: Transaction, user_id: str, to: datetime, now: datetime
) -> tuple[int, int]:
    """Roll back memories together with their index entries; see `roll_back_tables`."""
    # A memory that has expired since would end again at once: it needs no version for that.
    await expire_memories(transaction, user_id)
    span = {"user": user_id, "to": to, "now": now}
    closed = [row.entry for row in await transaction.all(CLOSE_LATER_MEMORIES, span)]
    await close_memories(transaction, user_id, closed, now)
    current_then = await transaction.all(MEMORIES_CURRENT_THEN, span)
    if current_then:
        first = await reserve_entries(transaction, user_id, len(current_then))
        copies = [
            VersionCopy(str(row.memory_id), row.version, row.successor, first + i)
            for i, row in enumerate(current_then)
        ]
        changes = {"origin": ORIGIN_WITH_MARK}
        await insert_versions(transaction, user_id, copies, now, changes, {"mark": _mark(to, now)})
        entries = [
            EntryCopy(row.entry, copy.entry, copy.memory_id, copy.successor)
            for row, copy in zip(current_then, copies, strict=True)
        ]
        await copy_entries(transaction, user_id, entries, now)
    return len(closed), len(current_then)


async def _roll_back_table(
    transaction: Transaction,
    user_id: str,
    versioned: VersionedTable,
    table: UserTable,
    to: datetime,
    now: datetime,
) -> tuple[int, int]:
    """Close the later versions of a table and copy those that were current then; returns how many of each."""
    values = _copied_columns(versioned, table)
    why = ", superseded_why = 'rollback'" if "superseded_why" in values else ""
    close = fill(CLOSE_LATER_VERSIONS, table=versioned.table, kept=versioned.kept, why=why)
    copy = fill(
        COPY_VERSIONS_CURRENT_THEN,
        table=versioned.table,
        kept=versioned.kept,
        columns=", ".join(values),
        values=", ".join(values.values()),
    )
    parameters: dict[str, Any] = {
        "user": user_id,
        "to": to,
        "now": now,
        "mark": _mark(to, now),
        "versioned": sorted(VERSIONED_NAMESPACES),
    }
    closed = await transaction.run(close, parameters)
    return closed, await transaction.run(copy, parameters)


def _copied_columns(versioned: VersionedTable, table: UserTable) -> dict[str, str]:
    """Return the columns of a copied version, each as an SQL expression over the version m."""
    values = {column: f"m.{column}" for column in table.columns}
    values |= {"created_at": "CAST(:now AS timestamptz)", "superseded_at": "CAST(NULL AS timestamptz)"}
    if "origin" in values:
        values["origin"] = ORIGIN_WITH_MARK
    if "version" in values:
        same = " AND ".join(f"l.{column} = m.{column}" for column in versioned.identity)
        values["version"] = fill(NEXT_VERSION_NUMBER, table=versioned.table, same=same).sql
    return values


def _mark(to: datetime, now: datetime) -> str:
    """Return what the origin of a copied version says about the rollback."""
    return json.dumps({"rollback": {"to": to.isoformat(), "at": now.isoformat()}})
