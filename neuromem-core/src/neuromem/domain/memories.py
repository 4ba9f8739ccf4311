"""Memories, each a chain of versions, and what a batch of statements changes in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.domain.memory_types import GENERAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.memory_types import MemoryType


@dataclass(frozen=True, slots=True)
class Memory:
    """One version of a memory.

    Two clocks: ``created_at`` and ``superseded_at`` say when neuromem learned this version and when it stopped
    holding it; ``occurred_at``, ``valid_from`` and ``valid_until`` say when it was true in the world.
    ``importance`` lies in 1-10, ``valence`` in [-1, 1], ``arousal`` and ``confidence`` in [0, 1]; None is unknown.
    A pinned memory is never superseded or forgotten by neuromem itself; an expired one is not found any more.
    """

    id: str
    user_id: str
    version: int
    memory_type: MemoryType
    content: str
    metadata: Mapping[str, Any]
    created_at: datetime
    superseded_at: datetime | None
    occurred_at: datetime | None
    valid_from: datetime | None
    valid_until: datetime | None
    importance: float | None
    confidence: float | None
    valence: float | None
    arousal: float | None
    emotion: str | None
    category: str | None
    origin: Mapping[str, Any]
    sources: tuple[str, ...]
    subject: str | None = None
    entities: tuple[str, ...] = ()
    pinned: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MemoryVersion(Memory):
    """A version of a memory, with who made it and why it ended.

    ``by`` is who made it: "user", "extractor", "digest", "rollback" or "restore"; ``why`` says more about that, as
    the extractor's name, model and prompt. ``ended`` says why it was superseded, None: it is current. It is a word,
    followed by the model's reason where a model judged, as in "contradicted: Alice said that she moved to Rome."
    """

    by: str = "user"
    why: str | None = None
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class NewMemory:
    """A checked memory that is ready to be stored.

    ``place`` is the session and the position of the last message that it comes from.
    """

    content: str
    memory_type: MemoryType = GENERAL.name
    metadata: Mapping[str, Any] | None = None
    occurred_at: datetime | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    importance: float | None = None
    confidence: float | None = None
    valence: float | None = None
    arousal: float | None = None
    emotion: str | None = None
    category: str | None = None
    origin: Mapping[str, Any] | None = None
    sources: tuple[str, ...] = ()
    language: str | None = None
    subject: str | None = None
    entities: tuple[str, ...] = ()
    unique_key: str | None = None
    place: tuple[str, int] | None = None

    def stored_as(self, user_id: str, memory_id: str, version: int, now: datetime) -> Memory:
        """Return the memory that this becomes when it is stored at a moment as a version of a memory."""
        return Memory(
            id=memory_id,
            user_id=user_id,
            version=version,
            memory_type=self.memory_type,
            content=self.content,
            metadata=dict(self.metadata or {}),
            created_at=now,
            superseded_at=None,
            occurred_at=self.occurred_at,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            importance=self.importance,
            confidence=self.confidence,
            valence=self.valence,
            arousal=self.arousal,
            emotion=self.emotion,
            category=self.category,
            origin=dict(self.origin or {}),
            sources=tuple(sorted(self.sources)),
            subject=self.subject,
            entities=self.entities,
        )


@dataclass(frozen=True, slots=True)
class Version:
    """A stored version, as new statements are compared with it; ``why`` it was superseded, None: it is current."""

    memory_id: str
    version: int
    memory_type: str
    entry: int
    digest: bytes
    unique_key: str | None
    why: str | None
    pinned: bool = False

    @property
    def current(self) -> bool:
        """Whether it holds."""
        return self.why is None


@dataclass(frozen=True, slots=True)
class Added:
    """A version to be added; ``ended`` says why it ends at the very moment at which it begins."""

    memory_id: str
    version: int
    new: NewMemory
    digest: bytes
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """What a batch of statements changes: versions added, versions superseded and why, versions said again."""

    added: Sequence[Added] = ()
    superseded: Sequence[tuple[Version, str]] = ()
    reinforced: Mapping[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
