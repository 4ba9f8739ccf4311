"""What the steps of recall hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from neuromem.domain.graph import Edge
    from neuromem.domain.query import Kind
    from neuromem.domain.recall_result import Candidate, Fused, RetrievedItem, Turn, VectorSearch
    from neuromem.plugin.stages import Scorer


@dataclass(frozen=True, slots=True)
class Weighted:
    """A scorer and its weight: what its signal of 1 adds to a fused score, which lies in [0, 1]."""

    scorer: Scorer
    weight: float


@dataclass(frozen=True, slots=True)
class Found:
    """A retrieved item with every number that led to its place.

    Attributes:
        hit: The item.
        score: Orders the answer, in [0, 1].
        signals: What each scorer and reranker returned, in [0, 1]; 0 of a scorer that does not apply.
        kept: The part of its score that it keeps beside items that show the same; 1: all of it.
    """

    hit: RetrievedItem
    score: float
    signals: Mapping[str, float] = field(default_factory=dict)
    kept: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the pipeline found.

    Attributes:
        merged: The answer, best first.
        ranked: The list of each retriever that answered, by its name, best first.
        hits: What is stored about the items of ``merged`` and the best of each list, by kind and id.
        skipped: The retrievers and rerankers that failed or were late.
        fused: All candidates after fusion, best first.
        relations: The relations of whom and what the question names.
        vector_search: How the nearest vectors were found; None when no list needed them.
        vector_lists: The names of the lists that were found so.
        turns: The turns around the messages of ``merged``, by the id of the message.
        weights: The weight of every scorer.
    """

    merged: Sequence[Found]
    ranked: Mapping[str, Sequence[Candidate]]
    hits: Mapping[tuple[Kind, str], RetrievedItem]
    skipped: Sequence[str]
    fused: Sequence[Fused] = ()
    relations: Sequence[Edge] = ()
    vector_search: VectorSearch | None = None
    vector_lists: Set[str] = frozenset()
    turns: Mapping[str, Sequence[Turn]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)


def best_first(found: Found) -> tuple[float, str]:
    """Return the key that sorts an answer: by score, ties by id."""
    return -found.score, found.hit.id


def same_scores(candidates: Sequence[Candidate]) -> bool:
    """Return whether a list, best first, has one score throughout: then it has no order of its own."""
    return bool(candidates) and candidates[0].score == candidates[-1].score
