"""Statistics over the emotions of memories, and the mood: how the user felt in the last days.

The current sums are kept by triggers of the database; sums of the past are counted from the versions that held then.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.store.database.sql import Fragment, fill
from neuromem.store.memories.derived_types import NOT_DERIVED
from neuromem.store.search_index.filters import current_version, memory_holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

MOOD_WINDOW = 14
"""Days over which the mood is averaged."""
TOPICS = 20
"""How many topics have sums of their own."""
MILLION = 1_000_000
"""Sums are integers in the database, in millionths, so that adding and subtracting leaves no rounding errors."""

STORED_SUMS = """
    SELECT topic, emotion, memories, valences, valence, arousals, arousal FROM {s}.emotions WHERE user_id = :user
"""

# The same sums, counted from the memories; the triggers of migration 0007 keep them.
COUNTED_SUMS = """
    SELECT t.topic, lower(coalesce(m.emotion, '')) AS emotion, count(*) AS memories, count(m.valence) AS valences,
           coalesce(sum(round(m.valence * 1000000)), 0)::bigint AS valence, count(m.arousal) AS arousals,
           coalesce(sum(round(m.arousal * 1000000)), 0)::bigint AS arousal
    FROM {s}.memories m CROSS JOIN LATERAL (
        SELECT '' AS topic UNION SELECT btrim(n.name) FROM unnest(m.entities || m.category) AS n(name)
        WHERE n.name IS NOT NULL
    ) AS t
    WHERE m.user_id = :user AND {holds} AND {not_derived}
      AND (m.valence IS NOT NULL OR m.arousal IS NOT NULL OR m.emotion IS NOT NULL)
    GROUP BY 1, 2
"""

SELECT_SUMS = """
    WITH sums AS MATERIALIZED ({sums}), topics AS (
        SELECT topic, sum(memories) AS memories FROM sums WHERE topic <> '' GROUP BY topic
        ORDER BY memories DESC, topic LIMIT :topics
    )
    SELECT s.* FROM sums s LEFT JOIN topics t USING (topic) WHERE s.topic = '' OR t.topic IS NOT NULL
    ORDER BY t.memories DESC NULLS FIRST, s.topic, s.memories DESC, s.emotion
"""

# A feeling counts from when it happened, at the latest from when it was learned; its weight halves with every quarter
# of the window.
RECENT_MOOD = """
    SELECT sum(valence * weight) / nullif(sum(weight), 0) AS valence,
           (SELECT d.mood FROM {s}.moods d
            WHERE d.user_id = :user AND {mood_known} AND d.created_at > {moment} - {window}
            ORDER BY d.created_at DESC LIMIT 1) AS mood
    FROM (
        SELECT m.valence, 0.5 ^ (extract(epoch FROM {moment} - least(m.occurred_at, m.created_at))::float8
                                 / (CAST(:window AS int) * 86400.0 / 4)) AS weight
        FROM {s}.memories m
        WHERE m.user_id = :user AND m.created_at > {moment} - {window} AND {holds} AND {not_derived}
          AND m.valence IS NOT NULL AND least(m.occurred_at, m.created_at) > {moment} - {window}
    ) AS recent
"""

REPLACE_MOOD = """
    WITH closed AS (
        UPDATE {s}.moods SET superseded_at = :now WHERE user_id = :user AND superseded_at IS NULL
    )
    INSERT INTO {s}.moods (user_id, mood, memories, origin, created_at)
    VALUES (:user, :mood, CAST(:memories AS uuid[]), CAST(:origin AS jsonb), :now)
"""


@dataclass(frozen=True, slots=True)
class EmotionSums:
    """Sums over the memories that carry an emotion.

    Attributes:
        topic: The topic of the memories, '' for all of them.
        emotion: The name of the emotion in lower case, '' for none.
        memories: How many memories.
        valences: How many of them have a valence.
        valence: The sum of the valences.
        arousals: How many of them have an arousal.
        arousal: The sum of the arousals.
    """

    topic: str
    emotion: str
    memories: int
    valences: int
    valence: float
    arousals: int
    arousal: float


@dataclass(frozen=True, slots=True)
class RecentMood:
    """How the user felt in the last `MOOD_WINDOW` days.

    Attributes:
        valence: The mean valence, recent memories weighing more; None without any.
        mood: The sentence about it that a digest wrote, None without one.
    """

    valence: float | None
    mood: str | None


async def emotion_sums(
    transaction: Transaction, user_id: str, as_of: datetime | None = None, *, recount: bool = False
) -> list[EmotionSums]:
    """Return the sums over all memories and over the most frequent topics.

    Args:
        transaction: A transaction that reads.
        user_id: Whose memories.
        as_of: The moment whose memories are counted; None for now.
        recount: Count the current memories instead of reading the stored sums, to check these.
    """
    sums = Fragment(STORED_SUMS)
    if as_of is not None or recount:
        sums = fill(COUNTED_SUMS, holds=current_version("m", as_of), not_derived=NOT_DERIVED)
    rows = await transaction.all(fill(SELECT_SUMS, sums=sums), {"user": user_id, "topics": TOPICS})
    return [_sums(row) for row in rows]


async def recent_mood(transaction: Transaction, user_id: str, as_of: datetime | None = None) -> RecentMood:
    """Return how the user felt in the `MOOD_WINDOW` days before now or before ``as_of``."""
    moment = Fragment("now()")
    if as_of is not None:
        moment = Fragment("CAST(:as_of AS timestamptz)", {"as_of": as_of})
    sql = fill(
        RECENT_MOOD,
        holds=memory_holds(as_of),
        not_derived=NOT_DERIVED,
        mood_known=current_version("d", as_of),
        moment=moment,
        window="make_interval(days => CAST(:window AS int))",
    )
    row = await transaction.first(sql, {"user": user_id, "window": MOOD_WINDOW})
    assert row is not None  # aggregates give one row
    return RecentMood(row.valence, row.mood)


async def set_mood(
    transaction: Transaction,
    user_id: str,
    mood: str,
    memories: Sequence[str],
    origin: Mapping[str, Any],
    now: datetime,
) -> None:
    """Store a sentence about the user's mood in place of the last one.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose mood.
        mood: The sentence.
        memories: Ids of the memories that it rests on; it ends with any of them.
        origin: Who wrote it.
        now: The moment of the transaction on the user's clock.
    """
    await transaction.run(
        REPLACE_MOOD,
        {
            "user": user_id,
            "mood": mood,
            "memories": list(memories),
            "now": now,
            "origin": json.dumps(dict(origin)),
        },
    )


def _sums(row: Row) -> EmotionSums:
    return EmotionSums(
        row.topic,
        row.emotion,
        row.memories,
        row.valences,
        row.valence / MILLION,
        row.arousals,
        row.arousal / MILLION,
    )
