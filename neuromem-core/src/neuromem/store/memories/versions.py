"""Makes a further version of memories out of a version that is there, with some columns changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.store.memories.closing import close_memories
from neuromem.store.schema.catalog import user_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction

# Every other column is taken over as it is, also those that later migrations add.
OWN = {
    "user_id": "m.user_id",
    "version": "n.successor",
    "entry": "n.entry",
    "created_at": ":now",
    "superseded_at": "CAST(NULL AS timestamptz)",
    "superseded_why": "CAST(NULL AS text)",
}

PICKED = """
    unnest(CAST(:memory AS uuid[]), CAST(:version AS int[]), CAST(:successor AS int[]), CAST(:entry AS int[]))
    AS n(memory_id, version, successor, entry)
"""

INSERT = f"""
    INSERT INTO {{s}}.memories ({{columns}})
    SELECT {{values}} FROM {PICKED}
    JOIN {{s}}.memories m ON m.user_id = :user AND m.memory_id = n.memory_id AND m.version = n.version
"""

SOURCES = f"""
    INSERT INTO {{s}}.memory_sources (user_id, memory_id, version, message_id)
    SELECT :user, n.memory_id, n.successor, o.message_id FROM {PICKED}
    JOIN {{s}}.memory_sources o ON o.user_id = :user AND o.memory_id = n.memory_id AND o.version = n.version
"""

CLOSE = """
    UPDATE {s}.memories m SET superseded_at = :now, superseded_why = :why
    WHERE m.user_id = :user AND m.memory_id = ANY(CAST(:memories AS uuid[])) AND m.superseded_at IS NULL
    RETURNING m.entry
"""

# What has run out stopped holding at that moment, whenever somebody takes notice.
EXPIRE = """
    UPDATE {s}.memories SET superseded_at = greatest(expires_at, created_at), superseded_why = 'expired'
    WHERE user_id = :user AND superseded_at IS NULL AND expires_at <= now()
    RETURNING entry, now() AS moment
"""


@dataclass(frozen=True, slots=True)
class VersionCopy:
    """The version that a further one is made of, the further one's number, and its number in the index."""

    memory_id: str
    version: int
    successor: int
    entry: int


async def insert_versions(
    transaction: Transaction,
    user_id: str,
    picks: Sequence[VersionCopy],
    now: datetime,
    changes: Mapping[str, str],
    params: Mapping[str, Any],
) -> None:
    """Store further versions, current from ``now`` on; ``changes`` gives columns as SQL with ``params``.

    What was current before is closed already; indexing them is the caller's.
    """
    tables = {table.name: table for table in await user_tables(transaction)}
    values = {**{column: f"m.{column}" for column in tables["memories"].columns}, **OWN, **changes}
    sql = INSERT.replace("{columns}", ", ".join(values)).replace("{values}", ", ".join(values.values()))
    picked = {
        "user": user_id,
        "memory": [pick.memory_id for pick in picks],
        "version": [pick.version for pick in picks],
        "successor": [pick.successor for pick in picks],
        "entry": [pick.entry for pick in picks],
    }
    await transaction.run(sql, {**params, **picked, "now": now})
    await transaction.run(SOURCES, picked)


async def close_versions(
    transaction: Transaction, user_id: str, memories: Sequence[str], now: datetime, why: str
) -> list[int]:
    """End the current versions of memories and return their entries, which are the caller's to close."""
    rows = await transaction.all(CLOSE, {"user": user_id, "memories": list(memories), "now": now, "why": why})
    return [row.entry for row in rows]


async def expire_memories(transaction: Transaction, user_id: str) -> int:
    """Take what has expired out of the present; returns how many memories."""
    rows = await transaction.all(EXPIRE, {"user": user_id})
    if rows:
        await close_memories(transaction, user_id, [row.entry for row in rows], rows[0].moment)
    return len(rows)
