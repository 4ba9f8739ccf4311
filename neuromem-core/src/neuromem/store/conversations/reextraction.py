"""Reads what a re-extraction compares with its results: extracted messages, memories, relations and the profile.

The rule that this module decides: a re-extraction may replace only what the extractor alone made. What a person made,
changed, pinned, restored or deleted it leaves as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.domain.kv import PROFILE
from neuromem.domain.memories import Version
from neuromem.store.database.sql import fill
from neuromem.store.graph.write import close_edge
from neuromem.store.memories.derived_types import NOT_DERIVED
from neuromem.store.memories.memory_rows import MEMORY_COLUMNS, memory_from_row

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Transaction

# The messages that were extracted before, in the order in which they were stored.
EXTRACTED_MESSAGES = """
    SELECT m.entry, m.message_id, m.session_id, length(m.content) AS length FROM {s}.messages m
    WHERE m.user_id = :user
      AND EXISTS (SELECT FROM {s}.extractions x WHERE x.user_id = :user AND x.message_id = m.message_id)
      AND (CAST(:session AS text) IS NULL OR m.session_id = :session)
      AND (CAST(:after AS timestamptz) IS NULL OR m.occurred_at >= :after)
      AND (CAST(:before AS timestamptz) IS NULL OR m.occurred_at < :before)
    ORDER BY m.entry
"""

# The memories that hold, and those that a person deleted or archived.
COMPARED_MEMORIES = fill(
    """
    SELECT {columns}, m.entry, m.content_hash, m.unique_key, m.superseded_at IS NULL AS holds,
           m.origin ->> 'by' = 'extractor' AND NOT m.pinned AND NOT EXISTS (
               SELECT FROM {s}.memories u WHERE u.user_id = :user AND u.memory_id = m.memory_id
               AND (coalesce(u.origin ->> 'by', 'user') = 'user' OR u.origin ->> 'restored' IS NOT NULL)) AS derived,
           ARRAY(SELECT DISTINCT o.content FROM {s}.memories o
                 WHERE o.user_id = :user AND o.memory_id = m.memory_id) AS contents,
           ARRAY(SELECT DISTINCT s.message_id::text FROM {s}.memory_sources s
                 WHERE s.user_id = :user AND s.memory_id = m.memory_id) AS all_sources
    FROM {s}.memories m
    WHERE m.user_id = :user AND {not_derived} AND (
        m.superseded_at IS NULL AND (m.expires_at IS NULL OR m.expires_at > now())
        OR m.superseded_why IN ('deleted', 'archived')
           AND NOT EXISTS (SELECT FROM {s}.memories l WHERE l.user_id = :user AND l.memory_id = m.memory_id
                           AND l.version > m.version))
    ORDER BY m.created_at, m.memory_id
    """,
    columns=MEMORY_COLUMNS,
    not_derived=NOT_DERIVED,
)

CURRENT_EDGES = """
    SELECT e.edge_id::text AS edge_id, e.version, coalesce(e.name, e.relation) AS relation,
           e.origin ->> 'by' = 'extractor' AS derived,
           (SELECT n.name FROM {s}.nodes n WHERE n.user_id = :user AND n.node = e.source
            ORDER BY n.version DESC LIMIT 1) AS source,
           (SELECT n.name FROM {s}.nodes n WHERE n.user_id = :user AND n.node = e.target
            ORDER BY n.version DESC LIMIT 1) AS target,
           ARRAY(SELECT o.message_id::text FROM {s}.edge_sources o
                 WHERE o.user_id = :user AND o.edge_id = e.edge_id) AS sources
    FROM {s}.edges e WHERE e.user_id = :user AND e.superseded_at IS NULL
"""

PROFILE_KEYS_SET_BY_USER = """
    SELECT key FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND superseded_at IS NULL
      AND coalesce(origin ->> 'by', 'user') = 'user'
"""


@dataclass(frozen=True, slots=True)
class ExtractedMessage:
    """A message that was extracted before.

    Attributes:
        entry: Its number in the search index.
        id: Its id.
        session_id: Its session.
        length: The number of its characters.
    """

    entry: int
    id: str
    session_id: str
    length: int


@dataclass(frozen=True, slots=True)
class DerivedMemory:
    """A memory that a re-extraction compares with its results.

    Attributes:
        memory: The memory in its last version.
        version: That version as `store_learned` wants it.
        derived: Whether the extractor alone made it.
        holds: Whether it holds; else a person deleted or archived it.
        contents: The texts of all its versions.
        sources: The ids of the messages of all its versions.
    """

    memory: Memory
    version: Version
    derived: bool
    holds: bool
    contents: tuple[str, ...]
    sources: frozenset[str]


@dataclass(frozen=True, slots=True)
class DerivedEdge:
    """A current relation.

    Attributes:
        version: The number of its version.
        text: The relation as "source -> relation -> target".
        derived: Whether the extractor made it.
        sources: The ids of its messages.
    """

    version: int
    text: str
    derived: bool
    sources: frozenset[str]


async def messages_to_reextract(
    transaction: Transaction,
    user_id: str,
    *,
    session: str | None,
    after: datetime | None,
    before: datetime | None,
) -> list[ExtractedMessage]:
    """Return the messages that were extracted before, in the order in which they were stored.

    Args:
        transaction: A transaction that reads.
        user_id: Whose messages.
        session: Only messages of this session; None for all.
        after: Only messages said then or later.
        before: Only messages said earlier.
    """
    rows = await transaction.all(
        EXTRACTED_MESSAGES, {"user": user_id, "session": session, "after": after, "before": before}
    )
    return [ExtractedMessage(row.entry, str(row.message_id), row.session_id, row.length) for row in rows]


async def derived_memories(transaction: Transaction, user_id: str) -> list[DerivedMemory]:
    """Return the memories that hold, and those that a person deleted or archived; insights are left out."""
    return [
        DerivedMemory(
            memory_from_row(row),
            Version(
                str(row.memory_id),
                row.version,
                row.memory_type,
                row.entry,
                bytes(row.content_hash),
                row.unique_key,
                None if row.holds else "deleted",
                True,
            ),
            row.derived,
            row.holds,
            tuple(row.contents),
            frozenset(row.all_sources),
        )
        for row in await transaction.all(COMPARED_MEMORIES, {"user": user_id})
    ]


async def derived_edges(transaction: Transaction, user_id: str) -> dict[str, DerivedEdge]:
    """Return the current relations by id."""
    return {
        row.edge_id: DerivedEdge(
            row.version,
            f"{row.source} -> {row.relation} -> {row.target}",
            bool(row.derived),
            frozenset(row.sources),
        )
        for row in await transaction.all(CURRENT_EDGES, {"user": user_id})
    }


async def profile_keys_set_by_hand(transaction: Transaction, user_id: str) -> set[str]:
    """Return the keys of the profile whose value a person has set."""
    rows = await transaction.all(PROFILE_KEYS_SET_BY_USER, {"user": user_id, "namespace": PROFILE})
    return {row.key for row in rows}


async def close_edges(transaction: Transaction, user_id: str, ids: Collection[str], now: datetime) -> None:
    """End the current versions of relations."""
    for edge_id in ids:
        await close_edge(transaction, user_id, edge_id, now)
