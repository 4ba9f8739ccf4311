"""What a digest returns: insights and the emotion profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from datetime import datetime

Category = Literal["pattern", "summary"]
Stage = Literal["tentative", "established", "core"]

ESTABLISHED, CORE = 0.5, 0.85
"""The confidence from which on an insight is established, and from which on it belongs to the core."""


def stage(confidence: float) -> Stage:
    """Return the stage of an insight with this confidence."""
    return "core" if confidence >= CORE else "established" if confidence >= ESTABLISHED else "tentative"


class Insight(TypedDict):
    """Something that several memories show together.

    Attributes:
        id: Its id, the same through all its versions.
        content: The insight.
        category: ``pattern`` or ``summary``.
        importance: From 1 to 10.
        confidence: From 0 to 1: grows with each conversation that supports it, falls with each that contradicts it,
            fades while nothing new supports it; 1 where a person wrote the insight or kept it without evidence.
        stage: ``tentative``, ``established`` or ``core``, by the confidence.
        source_ids: The memories that support it.
        created_at: When this version was stored.
    """

    id: str
    content: str
    category: Category
    importance: float | None
    confidence: float
    stage: Stage
    source_ids: list[str]
    created_at: datetime


class Trigger(TypedDict):
    """How the user feels about a topic: mean valence and arousal, the most frequent emotion, number of memories."""

    valence: float | None
    arousal: float | None
    emotion: str | None
    memories: int


class EmotionProfile(TypedDict):
    """How a user feels. Without ``latest``, values are over all current memories that carry an emotion.

    Attributes:
        latest_state: A sentence about the last two weeks; None when no digest wrote one.
        latest_state_valence: The mean valence of these weeks, from -1 to 1, the latest memories weighing most.
        valence_avg: Mean valence, from -1 to 1.
        arousal_avg: Mean arousal, from 0 to 1.
        dominant_emotions: The share of memories by emotion, the most frequent first.
        emotion_triggers: Feelings by topic, the most frequent first.
    """

    latest_state: str | None
    latest_state_valence: float | None
    valence_avg: float | None
    arousal_avg: float | None
    dominant_emotions: dict[str, float]
    emotion_triggers: dict[str, Trigger]


class DigestResult(TypedDict):
    """The result of a digest; ``insights`` are those that are new, changed or have new evidence."""

    memories_analyzed: int
    insights_generated: int
    insights: list[Insight]
    emotion_profile: EmotionProfile


class DigestProgress(TypedDict):
    """The progress of a digest after a batch."""

    memories_analyzed: int
    memories_left: int
    insights_generated: int
