"""What recall asks for and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from neuromem.plugin.ports import Reader

Kind = Literal["message", "memory", "document"]
VectorSearch = Literal["exact", "approximate"]
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


class _NoReader:
    """Stands in the place of a reader in questions that were made by hand."""

    def __getattr__(self, name: str) -> Any:
        raise TypeError(
            f"This Query has no reader to call {name}() on; recall() hands one to every retriever."
        )


@dataclass(frozen=True, slots=True)
class About:
    """What recall knows of a user before it looks for anything.

    ``speakers`` are the names that messages carry, the most frequent first; ``pending`` counts the background
    work that is not done; ``last_entry`` is the number of the newest index entry, ``entries`` how many of them hold
    now; ``profile`` is namespace ``profile`` at the moment that the answer speaks from; ``extracted`` tells whether a
    model is done with any message; ``space`` is the number of the active embedding space, ``background`` the cosine of
    unrelated texts in it, None where it was not measured.
    """

    speakers: tuple[str, ...] = ()
    language: str | None = None
    pending: int = 0
    last_entry: int = 0
    entries: int = 0
    profile: Mapping[str, Any] = field(default_factory=dict)
    extracted: bool = False
    space: int | None = None
    background: float | None = None


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
    reader: Reader = field(default_factory=_NoReader, repr=False, compare=False)


# The next three are made by the hundred for every question; a frozen one takes four times as long to make.


@dataclass(slots=True)
class Candidate:
    """What a retriever found; ``score`` orders this retriever's list, higher is better.

    ``relevance`` is absolute, in [0, 1] and comparable between queries; None when the retriever cannot say.
    ``evidence`` is what fusion adds up, where that is not the score itself. ``session_id`` and ``position`` place a
    message, and what was extracted from it, in the conversation. What is ``hidden`` lends its evidence to others and
    is itself never shown: a raw message in whose place the memories made of it stand. ``words`` has a bit for each word
    of the question that this evidence comes from, None when it is not of words or the retriever cannot say.
    """

    id: str
    kind: Kind
    score: float
    relevance: float | None = None
    evidence: float | None = None
    session_id: str | None = None
    position: int | None = None
    hidden: bool = False
    words: int | None = None


@dataclass(slots=True)
class Fused:
    """A candidate after fusion: ``score`` in [0, 1] orders, ``relevance`` is absolute, ``ranks`` count from 1."""

    id: str
    kind: Kind
    score: float
    relevance: float
    ranks: Mapping[str, int]


@dataclass(slots=True)
class Hit:
    """A fused candidate together with what is stored about it: what scorers and rerankers see.

    ``speaker`` is who said a message, and whom a memory is about.
    """

    id: str
    kind: Kind
    score: float
    relevance: float
    ranks: Mapping[str, int]
    content: str
    memory_type: str
    created_at: datetime
    occurred_at: datetime | None
    metadata: Mapping[str, Any]
    sources: tuple[str, ...]
    session_id: str | None = None
    position: int | None = None
    speaker: str | None = None
    importance: float | None = None
    valence: float | None = None
    arousal: float | None = None


class Turn(TypedDict):
    """A message before or after one that was found; ``distance`` counts the turns to it, negative: before."""

    id: str
    role: str
    name: str | None
    content: str
    occurred_at: datetime
    distance: int


class RecallItem(TypedDict):
    """One item of ``merged``, ``vector_results``, ``bm25_results`` and ``conversation_results``.

    ``speaker`` is the name of who said a message, else the role, and whom a memory is about, where that is known.
    ``explain`` has ``arms`` (per retriever ``rank, score, evidence``, and for the vector arm ``search``: "exact" or
    "approximate"), ``signals``, ``fused``, ``kind``, and ``repeats``, the part of its score that was left to what
    shows nothing new. With the ``weights`` of the answer, ``score`` is ``repeats * (fused + the sum of weight *
    signal) / (1 + the sum of all weights)``, or what the last reranker said.
    """

    id: str
    content: str
    source: str
    score: float
    relevance: float
    memory_type: str
    created_at: datetime
    occurred_at: datetime | None
    metadata: dict[str, Any]
    sources: list[str]
    speaker: str | None
    neighbors: NotRequired[list[Turn]]
    explain: NotRequired[dict[str, Any]]


class GraphItem(TypedDict):
    """One relation that recall found in the graph."""

    subject: str
    relation: str
    object: str
    content: str


class RecallResult(TypedDict):
    """What ``recall()`` returns.

    ``explain`` says how the vector arm searched and what the signals weigh: ``{"vector": "exact", "weights": {...}}``.
    """

    merged: list[RecallItem]
    vector_results: list[RecallItem]
    bm25_results: list[RecallItem]
    conversation_results: list[RecallItem]
    graph_results: list[GraphItem]
    graph_context: list[str]
    user_profile: dict[str, Any]
    pending: int
    skipped: NotRequired[list[str]]
    explain: NotRequired[dict[str, Any]]
