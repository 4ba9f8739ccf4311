"""What an extractor is given and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.memories import Memory, MemoryType
    from neuromem.domain.messages import Message


@dataclass(frozen=True, slots=True)
class Window:
    """What an extractor sees: new messages, what was said before them, and what is already known.

    Only ``messages`` are to be extracted; ``context`` holds earlier messages of both roles, oldest first.
    """

    user_id: str
    session_id: str
    messages: Sequence[Message]
    context: Sequence[Message] = ()
    known: Sequence[Memory] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)
    language: str | None = None
    graph: bool = False


@dataclass(frozen=True, slots=True)
class ExtractedMemory:
    """One fact or episode; ``sources`` are ids of messages of the window.

    ``relation`` says how it stands to the known memory ``target``: it repeats, refines or contradicts it.
    """

    content: str
    memory_type: MemoryType
    sources: tuple[str, ...]
    subject: str | None = None
    category: str | None = None
    confidence: float | None = None
    importance: float | None = None
    valence: float | None = None
    arousal: float | None = None
    emotion: str | None = None
    entities: tuple[str, ...] = ()
    occurred_at: datetime | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    relation: Literal["new", "repeats", "refines", "contradicts"] = "new"
    target: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExtractedRelation:
    """One relation between two named things."""

    subject: str
    subject_type: str
    relation: str
    object: str
    object_type: str
    sources: tuple[str, ...]
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extractor made of a window; ``rejected`` counts dropped items by reason."""

    memories: Sequence[ExtractedMemory] = ()
    relations: Sequence[ExtractedRelation] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
