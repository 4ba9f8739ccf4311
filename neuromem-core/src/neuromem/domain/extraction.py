"""What an extractor is given and what it returns, when it is asked, and what became of a message."""

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

Standing = Literal["new", "repeats", "refines", "contradicts"]
STANDINGS: tuple[Standing, ...] = ("new", "repeats", "refines", "contradicts")


@dataclass(frozen=True, slots=True)
class ExtractionStrategy:
    """When messages are extracted.

    A session's messages wait until ``message_interval`` of them are there, or ``idle_timeout`` seconds have passed
    since the last; ``on_session_close`` and ``on_shutdown`` end the waiting, and so does ``drain()``.
    """

    message_interval: int = 1
    idle_timeout: float = 600.0
    on_session_close: bool = True
    on_shutdown: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be kept."""
        if isinstance(self.message_interval, bool) or not 1 <= self.message_interval <= 1_000:
            raise InputError(f"message_interval must be from 1 to 1,000, not {self.message_interval!r}.")
        if not 0 <= self.idle_timeout <= 30 * 86_400:
            raise InputError(f"idle_timeout must be from 0 to 2,592,000 seconds, not {self.idle_timeout!r}.")


@dataclass(frozen=True, slots=True)
class Window:
    """What an extractor sees: new messages, what was said around them, and what is already known.

    Only ``messages`` are to be extracted; ``context`` holds other messages of both roles, oldest first: those before
    them and those between. What ``recall()`` or ``context()`` had put into a message is not in its content any more.
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

    ``relation`` says how it stands to the known memory ``target``: it repeats, refines or contradicts it, and
    ``reason`` in a sentence why.
    ``states`` names the relation of which its subject has one at a time and which it tells, such as ``LIVES_IN``: the
    memory that told the one before is superseded.
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
    relation: Standing = "new"
    target: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    states: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ExtractedRelation:
    """One relation between two named things; the type ``USER`` stands for the user, whatever the name."""

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
    """What an extractor made of a window; ``rejected`` counts dropped items by reason.

    ``profile`` has the keys of namespace ``profile``: lists add to what is there, strings replace it; ``withdrawn`` are
    entries, by key, that do not hold any more, as they stand in the window's profile. ``why`` tells
    what a window without any item was. ``complete`` says that the messages were read by a model, so that recall may
    leave those that something came of out of ``merged`` from now on.
    """

    memories: Sequence[ExtractedMemory] = ()
    relations: Sequence[ExtractedRelation] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
    why: str | None = None
    complete: bool = False
    withdrawn: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExtractionState:
    """What became of a message's extraction.

    ``waiting``: not tried yet, since ``next_try`` in the future or paused by a budget (``why``); ``failed``: tried
    again at ``next_try``; ``dead``: given up after ``attempts``; ``done``; ``empty``: nothing to keep, ``why`` says the
    reason; ``none``: nobody asked for it.
    """

    state: Literal["none", "waiting", "failed", "dead", "done", "empty"]
    why: str | None = None
    attempts: int = 0
    next_try: datetime | None = None
