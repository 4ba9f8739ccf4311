"""The events that observers and callbacks receive; an event has all of its keys, whether the call succeeded or not."""

from __future__ import annotations

from typing import TypedDict


class LLMCallEvent(TypedDict):
    """One call of an LLM.

    ``duration_ms`` is in milliseconds. Token counts are None when the provider does not report them. ``error`` is None
    when ``success`` is true, else what went wrong, without keys or content.
    """

    model: str
    duration_ms: float
    temperature: float
    max_tokens: int
    prompt_tokens: int | None
    completion_tokens: int | None
    success: bool
    error: str | None


class EmbeddingCallEvent(TypedDict):
    """One call of an embedding provider for ``text_count`` texts; ``duration_ms`` is in milliseconds."""

    model: str
    text_count: int
    duration_ms: float
    success: bool
    error: str | None


class ExtractionEvent(TypedDict):
    """One extraction of messages of a session; ``duration`` is in seconds, ``error`` None when it succeeded."""

    user_id: str
    session_id: str
    duration: float
    messages_processed: int
    facts_extracted: int
    episodes_extracted: int
    triples_extracted: int
    profile_updates: int
    error: str | None


class DigestEvent(TypedDict):
    """One digest; ``duration`` is in seconds. After an ``error`` the counts say what was stored before it."""

    user_id: str
    duration: float
    memories_analyzed: int
    insights_generated: int
    error: str | None
