"""Statistics about the data of a user: how much there is of everything, and the state of the background work."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from neuromem.domain.insights import stage
from neuromem.store.database.sql import fill
from neuromem.store.kv.kv import read_profile
from neuromem.store.memories.digest_queue import count_undigested
from neuromem.store.memories.emotions import emotion_sums
from neuromem.store.memories.insights import strongest_insights
from neuromem.store.search_index.filters import memory_holds

if TYPE_CHECKING:
    from neuromem.store.database.database import Database

MAX_INSIGHTS = 10_000
"""The most insights whose stages are counted."""

COUNT_MEMORIES_BY_TYPE = fill(
    """
    SELECT m.memory_type, count(*) AS n, count(*) FILTER (WHERE m.pinned) AS pinned
    FROM {s}.memories m WHERE m.user_id = :user AND {holds} GROUP BY m.memory_type ORDER BY m.memory_type
    """,
    holds=memory_holds(None),
)

# Weeks begin on Monday, in UTC; a memory counts in the week in which its first version was learned.
COUNT_MEMORIES_BY_WEEK = fill(
    """
    SELECT (date_trunc('week', f.created_at AT TIME ZONE 'UTC'))::date AS week, count(*) AS n
    FROM {s}.memories m
    JOIN {s}.memories f ON f.user_id = :user AND f.memory_id = m.memory_id AND f.version = 1
    WHERE m.user_id = :user AND {holds} GROUP BY 1 ORDER BY 1
    """,
    holds=memory_holds(None),
)

COUNT_EVERYTHING_ELSE = """
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

COUNT_JOBS_BY_KIND = """
    SELECT kind, count(*) FILTER (WHERE NOT dead AND attempts = 0) AS waiting,
           count(*) FILTER (WHERE NOT dead AND attempts > 0 AND lease_until >= now()) AS running,
           count(*) FILTER (WHERE NOT dead AND attempts > 0 AND (lease_until IS NULL OR lease_until < now()))
               AS failed,
           count(*) FILTER (WHERE dead) AS dead
    FROM {s}.jobs WHERE user_id = :user GROUP BY kind ORDER BY kind
"""


async def user_stats(database: Database, user_id: str) -> dict[str, Any]:
    """Return how much there is of everything of a user, and the state of the background work, by name."""
    user = {"user": user_id}
    async with database.reader(user_id) as transaction:
        memories = await transaction.all(COUNT_MEMORIES_BY_TYPE, user)
        weeks = await transaction.all(COUNT_MEMORIES_BY_WEEK, user)
        counts = await transaction.first(COUNT_EVERYTHING_ELSE, user)
        queue = await transaction.all(COUNT_JOBS_BY_KIND, user)
        profile = await read_profile(transaction, user_id)
        emotions = [row for row in await emotion_sums(transaction, user_id) if row.topic == ""]
        undigested = await count_undigested(transaction, user_id)
        insights = await strongest_insights(transaction, user_id, MAX_INSIGHTS)
    assert counts is not None
    valences = sum(row.valences for row in emotions)
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
        "insights": dict(Counter(stage(one.confidence) for one in insights)),
        "undigested": undigested,
        "emotions": {
            "memories": sum(row.memories for row in emotions),
            "valence_avg": sum(row.valence for row in emotions) / valences if valences else None,
            "dominant": next((row.emotion for row in emotions if row.emotion), None),
        },
        "profile": {key: len(value) if isinstance(value, list) else 1 for key, value in profile.items()},
    }
