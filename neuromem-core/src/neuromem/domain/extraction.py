"""What an extractor is given, what it returns, and when it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.memories import Memory
    from neuromem.domain.memory_types import MemoryType
    from neuromem.domain.messages import Message

RelationToKnown = Literal["new", "repeats", "refines", "contradicts"]
"""How a statement relates to a known memory."""
RELATIONS_TO_KNOWN: tuple[RelationToKnown, ...] = ("new", "repeats", "refines", "contradicts")


@dataclass(frozen=True, slots=True)
class ExtractionStrategy:
    """When messages are extracted.

    Attributes:
        message_interval: Messages of a session wait until there are so many of them, 1 to 1,000.
        idle_timeout: Or until so many seconds have passed since the last one, at most 30 days.
        on_session_close: Whether closing the session ends the waiting.
        on_shutdown: Whether closing neuromem ends the waiting. ``drain()`` always does.

    Raises:
        InputError: A value is out of range.
    """

    message_interval: int = 1
    idle_timeout: float = 600.0
    on_session_close: bool = True
    on_shutdown: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        if isinstance(self.message_interval, bool) or not 1 <= self.message_interval <= 1_000:
            raise InputError(f"message_interval must be from 1 to 1,000, not {self.message_interval!r}.")
        if not 0 <= self.idle_timeout <= 30 * 86_400:
            raise InputError(f"idle_timeout must be from 0 to 2,592,000 seconds, not {self.idle_timeout!r}.")


@dataclass(frozen=True, slots=True)
class Window:
    """What an extractor is given: new messages, those around them, and what is already known.

    Attributes:
        user_id: The user.
        session_id: The session of the new messages.
        messages: The messages to extract. Text that ``recall()`` or ``context()`` had put into one was removed.
        context: Other messages of any role before and between them, oldest first: to understand them, not to extract.
        known: The memories nearest to the new messages.
        profile: The values of namespace ``profile``.
        language: The language of the new messages as declared, else the user's; None when neither is known.
        graph: Whether relations are wanted.
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
    """One fact or episode.

    Attributes:
        content: The statement, understandable by itself.
        memory_type: ``fact`` or ``episodic`` (or ``general``).
        sources: Ids of the window's messages that say it, at least one of them new.
        subject: Whom or what it is about.
        category: One word, such as ``work``.
        confidence: From 0 to 1.
        importance: From 1 to 10.
        valence: From -1 (bad) to 1 (good).
        arousal: From 0 (calm) to 1 (excited).
        emotion: One word for how the speaker feels about it.
        entities: Names in it.
        occurred_at: When an episode happened. For a fact it is set to when it was said.
        valid_from: When it began to be true in the world.
        valid_until: When it ended to be true in the world.
        relation: How it relates to the known memory ``target``: it repeats, refines or contradicts it, or is new.
        target: Id of one of the window's known memories.
        metadata: Further fields.
        states: The single-valued relation that a fact states, such as ``LIVES_IN``: its subject has one at a time, so
            that the memory that stated the one before is superseded.
        reason: A sentence that explains ``relation``.
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
    relation: RelationToKnown = "new"
    target: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    states: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ExtractedRelation:
    """One relation between two named things; a thing of type ``USER`` is the user, whatever its name."""

    subject: str
    subject_type: str
    relation: str
    object: str
    object_type: str
    sources: tuple[str, ...]
    confidence: float | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extractor found in a window.

    Attributes:
        memories: Facts and episodes.
        relations: Relations between named things, for the graph.
        profile: New values of namespace ``profile``, by key: lists are added to what is there, texts replace it.
        rejected: How many items the extractor dropped, by reason.
        origin: By what it was extracted (model, prompt version); kept with every memory.
        why: Why there is nothing worth keeping, if there is nothing.
        complete: Whether a model has read the messages: recall may then leave those out of ``merged`` of which
            memories were made.
        withdrawn: Entries of the profile that do not hold any more, by key, as the window's profile has them.
    """

    memories: Sequence[ExtractedMemory] = ()
    relations: Sequence[ExtractedRelation] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
    why: str | None = None
    complete: bool = False
    withdrawn: Mapping[str, Sequence[str]] = field(default_factory=dict)
