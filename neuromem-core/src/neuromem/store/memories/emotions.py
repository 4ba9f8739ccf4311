"""How a user feels, in numbers: from the sums that the database keeps, or from the versions that held at a moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.store.memories.derived_types import NOT_DERIVED
from neuromem.store.search_index.filters import memory_visibility, visible_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

MOOD_WINDOW = 14
"""Days that "of late" means."""
TOPICS = 20
MILLION = 1_000_000

KEPT = "SELECT topic, emotion, memories, valences, valence, arousals, arousal FROM {s}.emotions WHERE user_id = :user"

# The same sums from the memories themselves; the triggers of migration 0007 add and take away what this adds up.
COUNTED = """
    SELECT t.topic, lower(coalesce(m.emotion, '')) AS emotion, count(*) AS memories, count(m.valence) AS valences,
           coalesce(sum(round(m.valence * 1000000)), 0)::bigint AS valence, count(m.arousal) AS arousals,
           coalesce(sum(round(m.arousal * 1000000)), 0)::bigint AS arousal
    FROM {s}.memories m CROSS JOIN LATERAL (
        SELECT '' AS topic UNION SELECT btrim(n.name) FROM unnest(m.entities || m.category) AS n(name)
        WHERE n.name IS NOT NULL
    ) AS t
    WHERE m.user_id = :user AND {held} AND {not_derived}
      AND (m.valence IS NOT NULL OR m.arousal IS NOT NULL OR m.emotion IS NOT NULL)
    GROUP BY 1, 2
"""

SUMS = """
    WITH sums AS MATERIALIZED ({sums}), topics AS (
        SELECT topic, sum(memories) AS memories FROM sums WHERE topic <> '' GROUP BY topic
        ORDER BY memories DESC, topic LIMIT :topics
    )
    SELECT s.* FROM sums s LEFT JOIN topics t USING (topic) WHERE s.topic = '' OR t.topic IS NOT NULL
    ORDER BY t.memories DESC NULLS FIRST, s.topic, s.memories DESC, s.emotion
"""

# What was felt is felt when it happens, at the latest when it is told; it weighs half as much every quarter of the
# window.
RECENT = """
    SELECT sum(valence * weight) / nullif(sum(weight), 0) AS valence,
           (SELECT d.mood FROM {s}.moods d WHERE d.user_id = :user AND {mood} AND d.created_at > {moment} - {window}
            ORDER BY d.created_at DESC LIMIT 1) AS mood
    FROM (
        SELECT m.valence, 0.5 ^ (extract(epoch FROM {moment} - least(m.occurred_at, m.created_at))::float8
                                 / (CAST(:window AS int) * 86400.0 / 4)) AS weight
        FROM {s}.memories m
        WHERE m.user_id = :user AND m.created_at > {moment} - {window} AND {held} AND {not_derived}
          AND m.valence IS NOT NULL AND least(m.occurred_at, m.created_at) > {moment} - {window}
    ) AS felt
"""

SET_MOOD = """
    WITH past AS (
        UPDATE {s}.moods SET superseded_at = :now WHERE user_id = :user AND superseded_at IS NULL
    )
    INSERT INTO {s}.moods (user_id, mood, memories, origin, created_at)
    VALUES (:user, :mood, CAST(:memories AS uuid[]), CAST(:origin AS jsonb), :now)
"""


@dataclass(frozen=True, slots=True)
class EmotionSums:
    """Sums over memories that carry an emotion; ``topic`` is '' for all of them, ``emotion`` '' for no name."""

    topic: str
    emotion: str
    memories: int
    valences: int
    valence: float
    arousals: int
    arousal: float


@dataclass(frozen=True, slots=True)
class RecentMood:
    """How the user felt of late: the weighted valence, and the sentence about it."""

    valence: float | None
    mood: str | None


async def emotion_sums(
    transaction: Transaction, user_id: str, as_of: datetime | None = None, *, anew: bool = False
) -> list[EmotionSums]:
    """Return the sums over all memories and over the most frequent topics; ``anew``: from the memories."""
    source = KEPT
    if anew or as_of is not None:
        held = "m.superseded_at IS NULL" if as_of is None else visible_at("m")
        source = COUNTED.replace("{held}", held).replace("{not_derived}", NOT_DERIVED)
    rows = await transaction.all(
        SUMS.replace("{sums}", source),
        {"user": user_id, "topics": TOPICS, **({} if as_of is None else {"as_of": as_of})},
    )
    return [_sums(row) for row in rows]


async def recent_mood(transaction: Transaction, user_id: str, as_of: datetime | None = None) -> RecentMood:
    """Return how the user felt in the weeks before now or a moment."""
    held = memory_visibility(as_of)[0]
    mood = "d.superseded_at IS NULL" if as_of is None else visible_at("d")
    moment = "now()" if as_of is None else "CAST(:as_of AS timestamptz)"
    sql = (
        RECENT.replace("{held}", held)
        .replace("{not_derived}", NOT_DERIVED)
        .replace("{mood}", mood)
        .replace("{moment}", moment)
    )
    row = await transaction.first(
        sql.replace("{window}", "make_interval(days => CAST(:window AS int))"),
        {"user": user_id, "window": MOOD_WINDOW, **({} if as_of is None else {"as_of": as_of})},
    )
    assert row is not None
    return RecentMood(row.valence, row.mood)


async def set_mood(
    transaction: Transaction,
    user_id: str,
    mood: str,
    memories: Sequence[str],
    origin: Mapping[str, Any],
    now: datetime,
) -> None:
    """Store the sentence about how the user feels of late, in place of the last."""
    await transaction.run(
        SET_MOOD,
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
