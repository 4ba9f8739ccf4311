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
    """A stretch of time, its end not included."""

    start: datetime
    end: datetime

    def nearness(self, moment: datetime) -> float:
        """Return 1 within the span, and less the more lengths of it (a day at least) the moment is away."""
        gap = max(self.start - moment, moment - self.end, timedelta())
        return 1.0 / (1.0 + 2.0 * gap / max(self.end - self.start, _DAY))


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents may be found: of a category, with all of the tags, of one of the types; None leaves open."""

    category: str | None = None
    tags: tuple[str, ...] | None = None
    file_types: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries may be found; every field narrows, None leaves open.

    ``kinds`` says which kinds of entries take part, ``memory_types`` narrows the memories among them.
    ``session_id`` leaves only the messages of one session, ``documents`` only passages of certain documents.
    ``include_extracted`` lets raw messages take part whose extraction by a model is done.
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
    """What recall knows of a user before it looks for anything.

    ``speakers`` are the names that messages carry, the most frequent first; ``pending`` counts the background
    work that is not done; ``last_entry`` is the number of the newest index entry, ``entries`` how many of them hold
    now; ``profile`` is namespace ``profile`` at the moment that the answer speaks from; ``extracted`` tells whether a
    model is done with any message; ``space`` is the number of the active embedding space, ``baseline_cosine`` the
    cosine of unrelated texts in it, None where it was not measured.
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
    """One question of one user; ``depth`` is how many candidates each retriever should offer.

    ``topic`` is the text without the names of speakers, ``named`` are the speakers and ``spans`` the times it
    names; ``graph`` says whether the knowledge graph takes part. ``now`` is the moment the answer speaks from:
    ``as_of`` when it was given, else the present; ``language`` is that of the question, None: the
    user's. ``reader`` reads what this question may see, in one transaction that all retrievers of the core share.
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
