"""Numbers about a user, and what is seldom of use."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from neuromem.domain.insights import stage
from neuromem.store.kv.kv import read_profile
from neuromem.store.memories.digest_queue import count_undigested
from neuromem.store.memories.emotions import emotion_sums
from neuromem.store.memories.insights import strongest_insights
from neuromem.store.memories.write import MEMORY_COLUMNS, memory_from_row
from neuromem.store.search_index.filters import memory_visibility

if TYPE_CHECKING:
    from datetime import timedelta

    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Database, Transaction

MAX_INSIGHTS = 10_000

HOLDS = memory_visibility(None)[0]

MEMORIES = f"""
    SELECT m.memory_type, count(*) AS n, count(*) FILTER (WHERE m.pinned) AS pinned
    FROM {{s}}.memories m WHERE m.user_id = :user AND {HOLDS} GROUP BY m.memory_type ORDER BY m.memory_type
"""

# Weeks begin on Monday, in UTC, by when a memory was first learned.
WEEKS = f"""
    SELECT (date_trunc('week', f.created_at AT TIME ZONE 'UTC'))::date AS week, count(*) AS n
    FROM {{s}}.memories m
    JOIN {{s}}.memories f ON f.user_id = :user AND f.memory_id = m.memory_id AND f.version = 1
    WHERE m.user_id = :user AND {HOLDS} GROUP BY 1 ORDER BY 1
"""

COUNTS = """
    SELECT (SELECT count(*) FROM {s}.messages WHERE user_id = :user) AS messages,
           (SELECT count(*) FROM {s}.sessions WHERE user_id = :user) AS sessions,
           (SELECT count(*) FROM {s}.sessions WHERE user_id = :user AND closed_at IS NULL) AS open_sessions,
           (SELECT count(*) FROM {s}.nodes WHERE user_id = :user AND superseded_at IS NULL) AS entities,
           (SELECT count(*) FROM {s}.edges WHERE user_id = :user AND superseded_at IS NULL) AS relations,
           (SELECT count(*) FROM {s}.documents WHERE user_id = :user AND superseded_at IS NULL) AS documents,
           (SELECT count(DISTINCT memory_id) FROM {s}.memories m WHERE user_id = :user
            AND superseded_why = 'archived' AND NOT EXISTS (
                SELECT FROM {s}.memories l WHERE l.user_id = :user AND l.memory_id = m.memory_id
                AND l.version > m.version)) AS archived
"""

QUEUE = """
    SELECT kind, count(*) FILTER (WHERE NOT dead AND attempts = 0) AS waiting,
           count(*) FILTER (WHERE NOT dead AND attempts > 0 AND lease_until >= now()) AS running,
           count(*) FILTER (WHERE NOT dead AND attempts > 0 AND (lease_until IS NULL OR lease_until < now()))
               AS failed,
           count(*) FILTER (WHERE dead) AS dead
    FROM {s}.jobs WHERE user_id = :user GROUP BY kind ORDER BY kind
"""

# The last moment at which a memory was learned, changed or of use.
LIVELY = "greatest(m.created_at, coalesce(a.last_at, m.created_at), coalesce(m.reinforced_at, m.created_at))"

COLD = f"""
    SELECT {MEMORY_COLUMNS} FROM {{s}}.memories m
    LEFT JOIN {{s}}.accesses a ON a.user_id = :user AND a.memory_id = m.memory_id
    WHERE m.user_id = :user AND {HOLDS} AND {LIVELY} < now() - CAST(:unused AS interval) AND {{narrowed}}
    ORDER BY {LIVELY}, m.memory_id LIMIT :limit
"""

FORGETTABLE = """
    NOT m.pinned AND coalesce(m.importance, 5) <= :most AND coalesce(m.occurred_at, m.created_at) < now()
    - CAST(:age AS interval)
"""


async def user_stats(database: Database, user_id: str) -> dict[str, Any]:
    """Return how much there is of everything, and how the background work stands."""
    user = {"user": user_id}
    async with database.reader(user_id) as transaction:
        memories = await transaction.all(MEMORIES, user)
        weeks = await transaction.all(WEEKS, user)
        counts = await transaction.first(COUNTS, user)
        queue = await transaction.all(QUEUE, user)
        profile = await read_profile(transaction, user_id)
        felt = [row for row in await emotion_sums(transaction, user_id) if row.topic == ""]
        undigested = await count_undigested(transaction, user_id)
        known = await strongest_insights(transaction, user_id, MAX_INSIGHTS)
    assert counts is not None
    valences = sum(row.valences for row in felt)
    return {
        "memories": sum(row.n for row in memories),
        "by_type": {row.memory_type: row.n for row in memories},
        "by_week": {row.week.isoformat(): row.n for row in weeks},
        "pinned": sum(row.pinned for row in memories),
        **dict(counts.items()),
        "queue": {
            row.kind: {name: getattr(row, name) for name in ("waiting", "running", "failed", "dead")}
            for row in queue
        },
        "insights": dict(Counter(stage(one.confidence) for one in known)),
        "undigested": undigested,
        "emotions": {
            "memories": sum(row.memories for row in felt),
            "valence_avg": sum(row.valence for row in felt) / valences if valences else None,
            "dominant": next((row.emotion for row in felt if row.emotion), None),
        },
        "profile": {key: len(value) if isinstance(value, list) else 1 for key, value in profile.items()},
    }


async def unused_memories(database: Database, user_id: str, unused: timedelta, limit: int) -> list[Memory]:
    """Return the memories that were not of use for so long, those for longest first."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(
            COLD.replace("{narrowed}", "true"), {"user": user_id, "unused": unused, "limit": limit}
        )
    return [memory_from_row(row) for row in rows]


async def forgettable_ids(
    transaction: Transaction, user_id: str, *, unused: timedelta, age: timedelta, most: float
) -> list[str]:
    """Return the ids of the memories that are unused, unimportant and old, none of them pinned."""
    rows = await transaction.all(
        COLD.replace("{narrowed}", FORGETTABLE),
        {"user": user_id, "unused": unused, "age": age, "most": most, "limit": None},
    )
    return [str(row.memory_id) for row in rows]
