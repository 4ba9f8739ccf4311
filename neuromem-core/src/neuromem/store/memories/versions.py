"""Adds, ends and expires versions of memories.

The rules that this module decides: a next version takes over every column of an earlier one that is not changed, with
its sources; an expired memory ended at its expiry, whenever that is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.store.database.sql import fill
from neuromem.store.memories.closing import close_memories
from neuromem.store.schema.catalog import user_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction

# Every other column is taken over as it is, also those that later migrations add.
COLUMNS_OF_NEXT_VERSION = {
    "user_id": "m.user_id",
    "version": "n.successor",
    "entry": "n.entry",
    "created_at": ":now",
    "superseded_at": "CAST(NULL AS timestamptz)",
    "superseded_why": "CAST(NULL AS text)",
}

COPIES = """
    unnest(CAST(:memory AS uuid[]), CAST(:version AS int[]), CAST(:successor AS int[]), CAST(:entry AS int[]))
    AS n(memory_id, version, successor, entry)
"""

INSERT_NEXT_VERSIONS = """
    INSERT INTO {s}.memories ({columns})
    SELECT {values} FROM {copies}
    JOIN {s}.memories m ON m.user_id = :user AND m.memory_id = n.memory_id AND m.version = n.version
"""

COPY_SOURCES = fill(
    """
    INSERT INTO {s}.memory_sources (user_id, memory_id, version, message_id)
    SELECT :user, n.memory_id, n.successor, o.message_id FROM {copies}
    JOIN {s}.memory_sources o ON o.user_id = :user AND o.memory_id = n.memory_id AND o.version = n.version
    """,
    copies=COPIES,
)

CLOSE_CURRENT_VERSIONS = """
    UPDATE {s}.memories m SET superseded_at = :now, superseded_why = :why
    WHERE m.user_id = :user AND m.memory_id = ANY(CAST(:memories AS uuid[])) AND m.superseded_at IS NULL
    RETURNING m.entry
"""

# An expired memory stopped holding at that moment, whenever it is noticed.
CLOSE_EXPIRED_VERSIONS = """
    UPDATE {s}.memories SET superseded_at = greatest(expires_at, created_at), superseded_why = 'expired'
    WHERE user_id = :user AND superseded_at IS NULL AND expires_at <= now()
    RETURNING entry, now() AS moment
"""


@dataclass(frozen=True, slots=True)
class VersionCopy:
    """Which version of a memory a next one is made of.

    Attributes:
        memory_id: The memory.
        version: The number of the version that is copied.
        successor: The number of the next version.
        entry: The number of the next version in the search index.
    """

    memory_id: str
    version: int
    successor: int
    entry: int


async def insert_versions(
    transaction: Transaction,
    user_id: str,
    copies: Sequence[VersionCopy],
    now: datetime,
    changes: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> None:
    """Store next versions of memories, current from ``now`` on, with their sources.

    The caller has closed what was current before, and indexes the next versions.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose memories.
        copies: Which versions to copy.
        now: The moment of the transaction on the user's clock.
        changes: Changed columns, each as an SQL expression over the copied version m.
        parameters: The parameters of these expressions.
    """
    tables = {table.name: table for table in await user_tables(transaction)}
    values = {
        **{column: f"m.{column}" for column in tables["memories"].columns},
        **COLUMNS_OF_NEXT_VERSION,
        **changes,
    }
    copied = {
        "user": user_id,
        "memory": [copy.memory_id for copy in copies],
        "version": [copy.version for copy in copies],
        "successor": [copy.successor for copy in copies],
        "entry": [copy.entry for copy in copies],
    }
    sql = fill(
        INSERT_NEXT_VERSIONS, columns=", ".join(values), values=", ".join(values.values()), copies=COPIES
    )
    await transaction.run(sql, {**parameters, **copied, "now": now})
    await transaction.run(COPY_SOURCES, copied)


async def close_versions(
    transaction: Transaction, user_id: str, memories: Sequence[str], now: datetime, why: str
) -> list[int]:
    """End the current versions of memories and return their entries, which the caller closes in the search index."""
    rows = await transaction.all(
        CLOSE_CURRENT_VERSIONS, {"user": user_id, "memories": list(memories), "now": now, "why": why}
    )
    return [row.entry for row in rows]


async def end_memories(
    transaction: Transaction, user_id: str, memories: Sequence[str], now: datetime, why: str
) -> int:
    """End memories: they do not hold any more, and stay in the past.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose memories.
        memories: Their ids; those without a current version are ignored.
        now: The moment of the transaction on the user's clock.
        why: The reason, stored with the version: "deleted", "archived", ...

    Returns:
        How many memories ended.
    """
    entries = await close_versions(transaction, user_id, memories, now, why)
    await close_memories(transaction, user_id, entries, now)
    return len(entries)


async def expire_memories(transaction: Transaction, user_id: str) -> int:
    """End the memories that have expired; returns how many."""
    rows = await transaction.all(CLOSE_EXPIRED_VERSIONS, {"user": user_id})
    if rows:
        await close_memories(transaction, user_id, [row.entry for row in rows], rows[0].moment)
    return len(rows)
