"""What recall finds: candidates, fused candidates, retrieved items, and the dict that is returned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from neuromem.domain.query import Kind

VectorSearch = Literal["exact", "approximate"]


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
    fusion_score: float | None = None
    session_id: str | None = None
    position: int | None = None
    suppressed: bool = False
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
class RetrievedItem:
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
