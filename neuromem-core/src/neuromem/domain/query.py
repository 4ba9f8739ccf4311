"""What recall is asked: the question, its filters, and what is known of the user before anything is searched."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


Kind = Literal["message", "memory", "document"]


KINDS: tuple[Kind, ...] = ("message", "memory", "document")


_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time.

    Attributes:
        start: Its first moment, timezone-aware.
        end: The moment after its last, timezone-aware.
    """

    start: datetime
    end: datetime

    def nearness(self, moment: datetime) -> float:
        """Return 1 within the span; a moment that is n of its lengths away (a day at least) has 1 / (1 + 2 n)."""
        gap = max(self.start - moment, moment - self.end, timedelta())
        return 1.0 / (1.0 + 2.0 * gap / max(self.end - self.start, _DAY))


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents may be found.

    Attributes:
        category: Only documents of this category; None: of any.
        tags: Only documents that have all of these tags; None: with any tags or none.
        file_types: Only documents of one of these types; None: of any.
    """

    category: str | None = None
    tags: tuple[str, ...] | None = None
    file_types: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries may be found; every field narrows, None does not. Moments are timezone-aware.

    Attributes:
        kinds: The kinds of entries that take part.
        memory_types: Only memories of these types; other kinds are not affected.
        created_after: Learned at this moment or later.
        created_before: Learned earlier than this moment.
        event_after: Happened at this moment or later; an entry without a time of its event is left out.
        event_before: Happened earlier than this moment; an entry without a time of its event is left out.
        metadata: Keys and values that the entry's metadata must contain.
        as_of: Only what was known at this moment.
        include_extracted: Whether messages take part that a model has extracted; otherwise they are suppressed, and
            the memories derived from them are found in their place.
        session_id: Only messages of this session.
        documents: Only passages of these documents.
    """

    kinds: tuple[Kind, ...] = ("message", "memory")
    memory_types: tuple[str, ...] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    event_after: datetime | None = None
    event_before: datetime | None = None
    metadata: Mapping[str, Any] | None = None
    as_of: datetime | None = None
    include_extracted: bool = False
    session_id: str | None = None
    documents: DocumentFilter | None = None


@dataclass(frozen=True, slots=True)
class UserSnapshot:
    """What is known of a user without searching.

    Attributes:
        speakers: The names that messages carry, the most frequent first.
        language: The user's language, such as "de"; None: not known.
        pending: Background jobs that are not done yet.
        last_entry: The number of the newest index entry.
        entries: How many index entries are current.
        profile: Namespace ``profile``, at the moment that the answer speaks from.
        extracted: Whether a model has extracted any message.
        space: The number of the active embedding space; None: there is none yet.
        baseline_cosine: The mean cosine of unrelated texts in that space; None: not measured.
    """

    speakers: tuple[str, ...] = ()
    language: str | None = None
    pending: int = 0
    last_entry: int = 0
    entries: int = 0
    profile: Mapping[str, Any] = field(default_factory=dict)
    extracted: bool = False
    space: int | None = None
    baseline_cosine: float | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One question of one user. A value: what reads for it is handed to the retrievers beside it.

    Attributes:
        user_id: Whose memories and messages.
        text: The question.
        now: The moment that the answer speaks from, timezone-aware: ``as_of`` where it was given, else the present.
        limit: How many items the answer has at most, from 1 on.
        depth: How many candidates each retriever should return at most; at least ``limit``.
        language: The question's language, such as "de"; None: the user's.
        topic: The text without the names of speakers; empty: not resolved yet, the text stands in.
        named: The speakers that the question names.
        spans: The times that it names.
        graph: Whether the knowledge graph takes part.
        filters: Which entries may be found.
    """

    user_id: str
    text: str
    now: datetime
    limit: int = 20
    depth: int = 60
    language: str | None = None
    topic: str = ""
    named: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    graph: bool = False
    filters: Filters = field(default_factory=Filters)
