"""Computes the emotion profile from sums over memories."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from neuromem.domain.insights import EmotionProfile, Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neuromem.store.memories.emotions import EmotionSums, RecentMood

MAX_DOMINANT_EMOTIONS = 10


def compute_emotion_profile(sums: Sequence[EmotionSums], recent: RecentMood) -> EmotionProfile:
    """Return the profile.

    Args:
        sums: Sums by topic and emotion; the topic '' is over all memories.
        recent: The mood of the last weeks.
    """
    overall = _trigger(row for row in sums if row.topic == "")
    named = Counter({row.emotion: row.memories for row in sums if row.topic == "" and row.emotion})
    total = named.total()
    topics = list(dict.fromkeys(row.topic for row in sums if row.topic))
    return EmotionProfile(
        latest_state=recent.mood,
        latest_state_valence=recent.valence,
        valence_avg=overall["valence"],
        arousal_avg=overall["arousal"],
        dominant_emotions={emotion: n / total for emotion, n in named.most_common(MAX_DOMINANT_EMOTIONS)},
        emotion_triggers={topic: _trigger(row for row in sums if row.topic == topic) for topic in topics},
    )


def _trigger(sums: Iterable[EmotionSums]) -> Trigger:
    rows = list(sums)
    named = [row for row in rows if row.emotion]
    return Trigger(
        valence=_mean(sum(row.valence for row in rows), sum(row.valences for row in rows)),
        arousal=_mean(sum(row.arousal for row in rows), sum(row.arousals for row in rows)),
        emotion=max(named, key=lambda row: (row.memories, row.emotion)).emotion if named else None,
        memories=sum(row.memories for row in rows),
    )


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
