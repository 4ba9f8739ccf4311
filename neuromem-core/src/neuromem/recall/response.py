"""Turns an outcome into the dict that ``recall()`` returns.

This is the one place outside `neuromem.builtin` that knows retrievers by name: the contract names keys after them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.recall_result import GraphItem, RecallItem, RecallResult
from neuromem.recall.results import same_scores

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from neuromem.domain.graph import Edge
    from neuromem.domain.query import Kind, UserSnapshot
    from neuromem.domain.recall_result import Candidate, RetrievedItem
    from neuromem.recall.results import Found, Outcome

# Which retriever's list stands under which key of the answer.
VECTOR_RESULTS, BM25_RESULTS, CONVERSATION_RESULTS = "vector", "bm25", "conversation"
VECTOR_SEARCH = "vector"  # key of the answer's ``explain`` that says how the nearest vectors were found


def result(outcome: Outcome, snapshot: UserSnapshot, *, limit: int, explain: bool) -> RecallResult:
    """Return the answer of ``recall()``.

    Args:
        outcome: What the pipeline found.
        snapshot: What is known of the user.
        limit: How many items each retriever's own list has at most.
        explain: Whether every item says which numbers led to its score.
    """
    # A retriever whose scores are all 0 passes on what others found: it does not rank.
    unranked = {
        name for name, found in outcome.ranked.items() if same_scores(found) and found[0].score == 0.0
    }
    answer = RecallResult(
        merged=[_merged_item(found, outcome, unranked, explain=explain) for found in outcome.merged],
        vector_results=_list_items(VECTOR_RESULTS, outcome, limit),
        bm25_results=_list_items(BM25_RESULTS, outcome, limit),
        conversation_results=_list_items(CONVERSATION_RESULTS, outcome, limit),
        graph_results=[_relation(edge) for edge in outcome.relations],
        graph_context=[str(edge) for edge in outcome.relations],
        user_profile=dict(snapshot.profile),
        pending=snapshot.pending,
    )
    if explain:
        searched = {VECTOR_SEARCH: outcome.vector_search} if outcome.vector_search else {}
        answer["explain"] = {**searched, "weights": dict(outcome.weights)}
    if outcome.skipped:
        answer["skipped"] = list(outcome.skipped)
    return answer


def _merged_item(found: Found, outcome: Outcome, unranked: Set[str], *, explain: bool) -> RecallItem:
    ranks = found.hit.ranks
    source = min(ranks, key=lambda name: (name in unranked, ranks[name], name))
    item = _item(found.hit, source, found.score, found.hit.relevance)
    if found.hit.id in outcome.turns:
        item["neighbors"] = list(outcome.turns[found.hit.id])
    if explain:
        key = (found.hit.kind, found.hit.id)
        arms = {name: _in_list(outcome.ranked[name], key) for name in sorted(ranks)}
        for name in outcome.vector_lists & arms.keys():
            arms[name]["search"] = outcome.vector_search
        item["explain"] = {
            "fused": found.hit.score,
            "arms": arms,
            "signals": dict(found.signals),
            "kind": key[0],
        }
        if found.kept < 1.0:
            item["explain"]["repeats"] = found.kept
    return item


def _relation(edge: Edge) -> GraphItem:
    relation = edge.name or str(edge.edge_type)
    return GraphItem(subject=edge.source_id, relation=relation, object=edge.target_id, content=str(edge))


def _in_list(ranked: Sequence[Candidate], key: tuple[Kind, str]) -> dict[str, Any]:
    """Return a candidate's rank in a retriever's list, its score there, and what it gave to the fusion."""
    rank, candidate = next((i, c) for i, c in enumerate(ranked, start=1) if (c.kind, c.id) == key)
    fusion_score = candidate.score if candidate.fusion_score is None else candidate.fusion_score
    return {"rank": rank, "score": candidate.score, "fusion_score": fusion_score}


def _list_items(name: str, outcome: Outcome, limit: int) -> list[RecallItem]:
    """Return the best of a retriever's list, its scores divided by the highest."""
    ranked: Sequence[Candidate] = outcome.ranked.get(name, ())[:limit]
    top = max((candidate.score for candidate in ranked), default=0.0)
    items = []
    for candidate in ranked:
        hit = outcome.hits.get((candidate.kind, candidate.id))
        if hit is not None:
            score = min(1.0, max(0.0, candidate.score / top)) if top > 0 else 0.0
            items.append(_item(hit, name, score, candidate.relevance or 0.0))
    return items


def _item(hit: RetrievedItem, source: str, score: float, relevance: float) -> RecallItem:
    return RecallItem(
        id=hit.id,
        content=hit.content,
        source=source,
        score=score,
        relevance=relevance,
        memory_type=hit.memory_type,
        created_at=hit.created_at,
        occurred_at=hit.occurred_at,
        metadata=dict(hit.metadata),
        sources=list(hit.sources),
        speaker=hit.speaker,
    )
