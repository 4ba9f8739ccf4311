"""What observers and callbacks are told; the keys are the same on every path."""

from __future__ import annotations

from typing import TypedDict


class LLMCallEvent(TypedDict):
    """One call of an LLM, successful or not. Token counts are None when the provider does not tell."""

    model: str
    duration_ms: float
    temperature: float
    max_tokens: int
    prompt_tokens: int | None
    completion_tokens: int | None
    success: bool
    error: str | None


class EmbeddingCallEvent(TypedDict):
    """One call of an embedding provider, successful or not."""

    model: str
    text_count: int
    duration_ms: float
    success: bool
    error: str | None


class ExtractionEvent(TypedDict):
    """One extraction, successful or not; ``duration`` is in seconds."""

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
    """One digest, successful or not; ``duration`` is in seconds. What was done before an error stays done."""

    user_id: str
    duration: float
    memories_analyzed: int
    insights_generated: int
    error: str | None
