"""What extraction reads: the new messages, those around them, and the memories that are nearest to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.query import Filters
from neuromem.store.database.sql import fill
from neuromem.store.kv.kv import PROFILE_AS_JSON, parse_profile
from neuromem.store.memories.memory_rows import MEMORY_COLUMNS, memory_from_row
from neuromem.store.search_index.bm25 import bm25_expressions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.config import BM25Settings
    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

# The new messages and those before them. Where the session begins with a new one, also the user's last messages of
# other sessions within the idle time. The first row also carries what is known of the user.
SELECT_WINDOW = fill(
    """
    WITH span AS (
        SELECT e.session_id, min(e.position) AS first, max(e.position) AS last, min(m.occurred_at) AS begins
        FROM {s}.entries e JOIN {s}.messages m ON m.user_id = :user AND m.message_id = e.item
        WHERE e.user_id = :user AND e.entry = ANY(CAST(:entries AS int[])) AND e.kind = 'm'
        GROUP BY e.session_id
    ), turns AS (
        SELECT m.* FROM span CROSS JOIN LATERAL (
            SELECT m.* FROM {s}.messages m
            WHERE m.user_id = :user AND m.session_id = span.session_id
              AND m.position BETWEEN span.first - CAST(:before AS int) AND span.last
            OFFSET 0
        ) AS m
        UNION ALL
        SELECT m.* FROM span CROSS JOIN LATERAL (
            SELECT m.* FROM {s}.messages m
            WHERE m.user_id = :user AND span.first = 0 AND m.session_id <> span.session_id
              AND m.occurred_at BETWEEN span.begins - make_interval(secs => :idle) AND span.begins
            ORDER BY m.occurred_at DESC, m.position DESC LIMIT CAST(:before AS int)
        ) AS m
    ), user_state AS (
        SELECT jsonb_build_object(
            'language', (SELECT language FROM {s}.users WHERE user_id = :user),
            'tokens_today', (SELECT coalesce(sum(prompt_tokens + completion_tokens), 0) FROM {s}.usage
                      WHERE user_id = :user AND day = (now() AT TIME ZONE 'UTC')::date),
            'profile', {profile}
        ) AS user_state
    )
    SELECT t.message_id, t.user_id, t.session_id, t.position, t.role, t.content, t.created_at, t.occurred_at, t.name,
           t.metadata, t.language, t.idempotency_key, t.entry, t.utc_offset,
           CASE WHEN row_number() OVER (ORDER BY t.entry) = 1 THEN u.user_state END AS user_state
    FROM turns t CROSS JOIN user_state u ORDER BY t.occurred_at, t.entry
    """,
    profile=PROFILE_AS_JSON,
)

NEAREST_MEMORIES = """
    WITH {scored_by_words}, active_space AS (
        SELECT space FROM {s}.spaces WHERE active
    ), message_vectors AS (
        SELECT v.v FROM {s}.vectors v
        WHERE v.user_id = :user AND v.space = (SELECT space FROM active_space)
          AND v.entry = ANY(CAST(:entries AS int[])) AND v.part = 0
    ), nearest_by_vector AS (
        SELECT v.entry, min(v.v <#> a.v) AS distance FROM {s}.vectors v CROSS JOIN message_vectors a
        WHERE v.user_id = :user AND v.space = (SELECT space FROM active_space) AND v.kind = 'k' AND v.current
        GROUP BY v.entry ORDER BY 2, 1 LIMIT :most
    ), nearest AS (
        SELECT entry, min(place) AS place FROM (
            SELECT entry, row_number() OVER (ORDER BY distance, entry) AS place FROM nearest_by_vector
            UNION ALL
            SELECT entry, row_number() OVER (ORDER BY score DESC, entry) FROM scored
        ) AS ranked GROUP BY entry ORDER BY 2, 1 LIMIT :most
    )
    SELECT {columns} FROM nearest
    JOIN {s}.entries e ON e.user_id = :user AND e.entry = nearest.entry
    JOIN {s}.memories m ON m.user_id = :user AND m.memory_id = e.item AND m.version = e.version
    WHERE m.superseded_at IS NULL ORDER BY nearest.place, m.memory_id
"""


@dataclass(frozen=True, slots=True)
class LoadedWindow:
    """What was loaded for an extraction.

    Attributes:
        rows: The new messages and those around them, oldest first; ``entry`` says which.
        language: The user's language, None for unknown.
        spent: The tokens that the user has used today (UTC), over all operations.
        profile: The current profile by key.
    """

    rows: Sequence[Row]
    language: str | None
    spent: int
    profile: Mapping[str, Any]


async def load_window(
    transaction: Transaction, user_id: str, entries: Sequence[int], *, before: int, idle: float
) -> LoadedWindow:
    """Return messages with those before them, and what is known of the user.

    Args:
        transaction: A transaction that reads.
        user_id: Whose messages.
        entries: The numbers of the new messages in the search index.
        before: The most earlier messages to add.
        idle: Seconds before the first message of a session in which messages of other sessions count as earlier ones.
    """
    rows = await transaction.all(
        SELECT_WINDOW, {"user": user_id, "entries": list(entries), "before": before, "idle": idle}
    )
    state = next((row.user_state for row in rows if row.user_state is not None), None)
    state = state or {"language": None, "tokens_today": 0, "profile": {}}
    return LoadedWindow(rows, state["language"], int(state["tokens_today"]), parse_profile(state["profile"]))


async def nearest_memories(
    transaction: Transaction,
    user_id: str,
    entries: Sequence[int],
    tokens: Sequence[str],
    *,
    most: int,
    bm25: BM25Settings,
) -> list[Memory]:
    """Return the current memories nearest to messages, by words and by vectors where the messages have some by now.

    Args:
        transaction: A transaction that reads.
        user_id: Whose memories.
        entries: The numbers of the messages in the search index.
        tokens: The words of the messages.
        most: The most memories to return.
        bm25: The constants by which the words are scored.
    """
    scored = bm25_expressions(tokens, set(tokens), Filters(kinds=("memory",)), bm25)
    rows = await transaction.all(
        fill(NEAREST_MEMORIES, scored_by_words=scored, columns=MEMORY_COLUMNS),
        {"user": user_id, "entries": list(entries), "most": most},
    )
    return [memory_from_row(row) for row in rows]
