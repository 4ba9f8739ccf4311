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
    """Return how far an insight has come."""
    return "core" if confidence >= CORE else "established" if confidence >= ESTABLISHED else "tentative"


class Insight(TypedDict):
    """Something that memories show together.

    ``source_ids`` are the memories that speak for it. ``confidence`` in [0, 1] grows with each conversation that
    does, falls with each that speaks against it, and fades while nothing new does; it is 1 where a person wrote the
    insight, or kept it without evidence. ``stage`` follows from it.
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
    """How the user feels about a topic: averages, the most frequent emotion, and over how many memories."""

    valence: float | None
    arousal: float | None
    emotion: str | None
    memories: int


class EmotionProfile(TypedDict):
    """How a user feels.

    ``latest_state`` is a sentence about the last two weeks (None: nobody wrote one), ``latest_state_valence`` the
    valence of what was felt in them, the latest counting most. The others go over all current memories that carry an
    emotion: ``valence_avg`` in [-1, 1], ``arousal_avg`` in [0, 1], ``dominant_emotions`` by their share of these
    memories, ``emotion_triggers`` by topic, the most frequent first.
    """

    latest_state: str | None
    latest_state_valence: float | None
    valence_avg: float | None
    arousal_avg: float | None
    dominant_emotions: dict[str, float]
    emotion_triggers: dict[str, Trigger]


class DigestResult(TypedDict):
    """What a digest did: ``insights`` are those that it made, changed or found new evidence for."""

    memories_analyzed: int
    insights_generated: int
    insights: list[Insight]
    emotion_profile: EmotionProfile


class DigestProgress(TypedDict):
    """Where a digest stands after a batch."""

    memories_analyzed: int
    memories_left: int
    insights_generated: int
