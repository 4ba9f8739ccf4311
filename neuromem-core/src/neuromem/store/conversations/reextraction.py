"""What was derived from messages, and by whom: what a new extraction may replace, and what it must leave alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.domain.kv import PROFILE
from neuromem.domain.memories import Version
from neuromem.store.graph.write import close_edge
from neuromem.store.memories.derived_types import NOT_DERIVED
from neuromem.store.memories.write import MEMORY_COLUMNS, memory_from_row

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.memories import Memory
    from neuromem.store.conversations.extraction_queue import ExtractionOutcome
    from neuromem.store.database.database import Transaction

# The messages that were extracted, in the order in which they were said.
SCOPE = """
    SELECT m.entry, m.message_id, m.session_id, length(m.content) AS length FROM {s}.messages m
    WHERE m.user_id = :user
      AND EXISTS (SELECT FROM {s}.extractions x WHERE x.user_id = :user AND x.message_id = m.message_id)
      AND (CAST(:session AS text) IS NULL OR m.session_id = :session)
      AND (CAST(:after AS timestamptz) IS NULL OR m.occurred_at >= :after)
      AND (CAST(:before AS timestamptz) IS NULL OR m.occurred_at < :before)
    ORDER BY m.entry
"""

# Everything that holds, and what a person has deleted. What a person made, changed, pinned or brought back is theirs.
HOLDING = """
    SELECT {columns}, m.entry, m.content_hash, m.unique_key, m.superseded_at IS NULL AS holds,
           m.origin ->> 'by' = 'extractor' AND NOT m.pinned AND NOT EXISTS (
               SELECT FROM {s}.memories u WHERE u.user_id = :user AND u.memory_id = m.memory_id
               AND (coalesce(u.origin ->> 'by', 'user') = 'user' OR u.origin ->> 'restored' IS NOT NULL)) AS derived,
           ARRAY(SELECT DISTINCT o.content FROM {s}.memories o
                 WHERE o.user_id = :user AND o.memory_id = m.memory_id) AS said,
           ARRAY(SELECT DISTINCT s.message_id::text FROM {s}.memory_sources s
                 WHERE s.user_id = :user AND s.memory_id = m.memory_id) AS all_sources
    FROM {s}.memories m
    WHERE m.user_id = :user AND {not_derived} AND (
        m.superseded_at IS NULL AND (m.expires_at IS NULL OR m.expires_at > now())
        OR m.superseded_why IN ('deleted', 'archived')
           AND NOT EXISTS (SELECT FROM {s}.memories l WHERE l.user_id = :user AND l.memory_id = m.memory_id
                           AND l.version > m.version))
    ORDER BY m.created_at, m.memory_id
""".replace("{columns}", MEMORY_COLUMNS).replace("{not_derived}", NOT_DERIVED)

EDGES = """
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

BY_HAND = """
    SELECT key FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND superseded_at IS NULL
      AND coalesce(origin ->> 'by', 'user') = 'user'
"""

TELL = """
    WITH told AS (
        INSERT INTO {s}.extractions (user_id, message_id, extractor, state, why, origin, created_at)
        SELECT :user, m.message_id, :extractor, n.state, n.why, CAST(:origin AS jsonb), :now
        FROM unnest(CAST(:messages AS uuid[]), CAST(:states AS text[]), CAST(:whys AS text[]))
             AS n(message_id, state, why)
        JOIN {s}.messages m ON m.user_id = :user AND m.message_id = n.message_id
        ON CONFLICT (user_id, message_id, extractor) DO UPDATE SET
            state = excluded.state, why = excluded.why, origin = excluded.origin, created_at = excluded.created_at
    )
    UPDATE {s}.entries e SET extracted = n.state = 'done' AND CAST(:complete AS bool)
    FROM unnest(CAST(:messages AS uuid[]), CAST(:states AS text[])) AS n(message_id, state)
    WHERE e.user_id = :user AND e.item = n.message_id AND e.version = 1
      AND e.extracted <> (n.state = 'done' AND CAST(:complete AS bool))
"""


@dataclass(frozen=True, slots=True)
class ExtractedMessage:
    """A message to be extracted anew."""

    entry: int
    id: str
    session_id: str
    length: int


@dataclass(frozen=True, slots=True)
class DerivedMemory:
    """A memory; ``derived`` when extraction alone made it, ``holds`` unless a person has deleted it.

    ``said`` are the texts of all its versions, ``sources`` the messages of all of them.
    """

    memory: Memory
    version: Version
    derived: bool
    holds: bool
    said: tuple[str, ...]
    sources: frozenset[str]


@dataclass(frozen=True, slots=True)
class DerivedEdge:
    """A relation that holds."""

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
    """Return the messages that were extracted before, in order."""
    rows = await transaction.all(
        SCOPE, {"user": user_id, "session": session, "after": after, "before": before}
    )
    return [ExtractedMessage(row.entry, str(row.message_id), row.session_id, row.length) for row in rows]


async def derived_memories(transaction: Transaction, user_id: str) -> list[DerivedMemory]:
    """Return the memories that hold, and those that a person has deleted."""
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
            tuple(row.said),
            frozenset(row.all_sources),
        )
        for row in await transaction.all(HOLDING, {"user": user_id})
    ]


async def derived_edges(transaction: Transaction, user_id: str) -> dict[str, DerivedEdge]:
    """Return the relations that hold, by id."""
    return {
        row.edge_id: DerivedEdge(
            row.version,
            f"{row.source} -> {row.relation} -> {row.target}",
            bool(row.derived),
            frozenset(row.sources),
        )
        for row in await transaction.all(EDGES, {"user": user_id})
    }


async def profile_keys_set_by_hand(transaction: Transaction, user_id: str) -> set[str]:
    """Return the keys of the profile whose value a person has set."""
    rows = await transaction.all(BY_HAND, {"user": user_id, "namespace": PROFILE})
    return {row.key for row in rows}


async def close_edges(transaction: Transaction, user_id: str, ids: Collection[str], now: datetime) -> None:
    """Take relations out of the present."""
    for edge_id in ids:
        await close_edge(transaction, user_id, edge_id, now)


async def record_outcomes(
    transaction: Transaction, user_id: str, endings: Sequence[ExtractionOutcome], now: datetime
) -> None:
    """Say how the extraction of messages ended this time."""
    for ended in endings:
        states: Mapping[str, tuple[str, str | None]] = ended.states
        await transaction.run(
            TELL,
            {
                "user": user_id,
                "extractor": ended.extractor,
                "now": now,
                "complete": ended.complete,
                "messages": list(states),
                "states": [state for state, _ in states.values()],
                "whys": [why for _, why in states.values()],
                "origin": json.dumps(dict(ended.origin)),
            },
        )
