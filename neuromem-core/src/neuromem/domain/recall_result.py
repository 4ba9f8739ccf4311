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
    """What a retriever found.

    Attributes:
        id: The id of the message, memory or passage.
        kind: "message", "memory" or "document".
        score: Orders this retriever's list, higher is better; finite, in a unit of its own.
        relevance: How relevant it is in absolute terms, in [0, 1], comparable between questions; None: not known.
        fusion_score: What the fusion adds up, where that is not ``score``: finite, in one unit throughout the list. Of
            a list that its `StageSpec` calls ``absolute``, 1 means certainty. None: ``score``.
        session_id: The session of a message, or of the one that a memory was extracted from; None: none.
        position: The place of that message in the session, from 0 on; None: none.
        suppressed: Whether it only lends its score to others and is never shown: a message whose extracted memories
            are shown in its place.
        words: A bit for each word of the question that the score comes from; None: not from words, or not known.
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
    """A candidate after fusion.

    Attributes:
        id: The id of the message, memory or passage.
        kind: "message", "memory" or "document".
        score: Orders the fused list, in [0, 1].
        relevance: The highest relevance that a retriever gave it, in [0, 1]; 0 where none could say.
        ranks: Its rank in the list of each retriever that found it, by the retriever's name, from 1 on.
    """

    id: str
    kind: Kind
    score: float
    relevance: float
    ranks: Mapping[str, int]


@dataclass(slots=True)
class RetrievedItem:
    """A fused candidate together with what is stored about it: what scorers and rerankers see.

    Attributes:
        id: The id of the message, memory or passage.
        kind: "message", "memory" or "document".
        score: Its score after fusion, in [0, 1].
        relevance: How relevant it is in absolute terms, in [0, 1].
        ranks: Its rank in the list of each retriever that found it, by the retriever's name, from 1 on.
        content: Its text, as stored.
        memory_type: The type of a memory, such as "fact"; "message" or "document" for the others.
        created_at: When it was stored.
        occurred_at: When it was said or happened; None: not known.
        metadata: Its metadata, as stored.
        sources: The ids of the messages that a memory was derived from; empty for the others.
        session_id: The session of a message; None for the others.
        position: The place of a message in its session, from 0 on; None for the others.
        speaker: The name of who said a message, else the role; whom a memory is about; None: not known.
        importance: How much a memory matters, 1 to 10; None: not known.
        valence: How pleasant the emotion is, -1 to 1; None: not known.
        arousal: How strong the emotion is, 0 to 1; None: not known.
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
    """A message before or after one that was found.

    Attributes:
        id: The id of the message.
        role: "user", "assistant", "system" or "tool".
        name: The name of who said it; None: not known.
        content: Its text.
        occurred_at: When it was said.
        distance: The turns between it and the one that was found, negative before it.
    """

    id: str
    role: str
    name: str | None
    content: str
    occurred_at: datetime
    distance: int


class RecallItem(TypedDict):
    """One item of ``merged``, ``vector_results``, ``bm25_results`` and ``conversation_results``.

    Attributes:
        id: The id of the message, memory or passage.
        content: Its text, as stored.
        source: The name of the retriever that ranked it highest.
        score: Orders this answer, in [0, 1]. In the list of a single retriever: its score there, divided by the best.
        relevance: How relevant it is in absolute terms, in [0, 1], comparable between questions.
        memory_type: The type of a memory, such as "fact"; "message" or "document" for the others.
        created_at: When it was stored.
        occurred_at: When it was said or happened; None: not known.
        metadata: Its metadata, as stored.
        sources: The ids of the messages that a memory was derived from; empty for the others.
        speaker: The name of who said a message, else the role; whom a memory is about; None: not known.
        neighbors: The turns around a message, in order; with the argument ``neighbors``.
        explain: How ``score`` came about; with ``explain=True``. ``arms``: per retriever ``rank``, ``score`` and
            ``fusion_score``, and of one that searches by vectors ``search``, "exact" or "approximate"; ``fused``, the
            score after fusion; ``signals``, per scorer; ``kind``; and ``repeats`` where the item shows nothing new: the
            part of its score that it keeps. With the ``weights`` of the answer,
            score = repeats * (fused + sum of weight * signal) / (1 + sum of all weights), or what the last reranker
            returned.
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
    """One relation that recall found in the graph.

    Attributes:
        subject: The id of the node that it starts at.
        relation: Its name, or its type.
        object: The id of the node that it leads to.
        content: All three as one line: ``alice -> WORKS_AT -> google``.
    """

    subject: str
    relation: str
    object: str
    content: str


class RecallResult(TypedDict):
    """What ``recall()`` returns.

    Attributes:
        merged: The answer, best first, at most ``limit`` items.
        vector_results: What the search by vectors found, best first.
        bm25_results: What the search by words found, best first.
        conversation_results: The turns around what these found.
        graph_results: The relations of whom and what the question names; empty while the graph is off.
        graph_context: The same relations as lines: ``alice -> WORKS_AT -> google``.
        user_profile: Namespace ``profile``, at the moment that the answer speaks from.
        pending: Background jobs of the user that are not done yet, so that the answer may lack something.
        skipped: The retrievers and rerankers that failed or were late; with ``on_arm_error="skip"``, if there are any.
        explain: With ``explain=True``: ``vector``, how the nearest vectors were found ("exact" or "approximate"), and
            ``weights``, what a signal of 1 of each scorer adds to a fused score.
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
