"""Turns an outcome into the dict that the contract promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.recall_result import GraphItem, RecallItem, RecallResult

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from neuromem.domain.graph import Edge
    from neuromem.domain.query import Kind, UserSnapshot
    from neuromem.domain.recall_result import Candidate, RetrievedItem
    from neuromem.recall.pipeline import Found, Outcome

ARM_SHOWN_AS = {"vector": "vector_results", "bm25": "bm25_results", "conversation": "conversation_results"}


def result(outcome: Outcome, about: UserSnapshot, *, limit: int, explain: bool) -> RecallResult:
    """Return the answer of ``recall()``."""
    arms = {shown: _arm_items(name, outcome, limit) for name, shown in ARM_SHOWN_AS.items()}
    # Who passes on what others found has no order of its own.
    silent = {name for name, arm in outcome.arms.items() if arm and arm[0].score == arm[-1].score == 0.0}
    answer = RecallResult(
        merged=[_merged_item(found, outcome, silent, explain=explain) for found in outcome.merged],
        vector_results=arms["vector_results"],
        bm25_results=arms["bm25_results"],
        conversation_results=arms["conversation_results"],
        graph_results=[_relation(edge) for edge in outcome.relations],
        graph_context=[str(edge) for edge in outcome.relations],
        user_profile=dict(about.profile),
        pending=about.pending,
    )
    if explain:
        searched = {"vector": outcome.search} if outcome.search else {}
        answer["explain"] = {**searched, "weights": dict(outcome.weights)}
    if outcome.skipped:
        answer["skipped"] = list(outcome.skipped)
    return answer


def _merged_item(found: Found, outcome: Outcome, silent: Set[str], *, explain: bool) -> RecallItem:
    ranks = found.hit.ranks
    source = min(ranks, key=lambda name: (name in silent, ranks[name], name))
    item = _item(found.hit, source, found.score, found.hit.relevance)
    if found.hit.id in outcome.turns:
        item["neighbors"] = list(outcome.turns[found.hit.id])
    if explain:
        key = (found.hit.kind, found.hit.id)
        arms = {name: _in_arm(outcome.arms[name], key) for name in sorted(ranks)}
        if "vector" in arms and outcome.search:
            arms["vector"]["search"] = outcome.search
        item["explain"] = {
            "fused": found.hit.score,
            "arms": arms,
            "signals": dict(found.signals),
            "kind": key[0],
        }
        if found.left < 1.0:
            item["explain"]["repeats"] = found.left
    return item


def _relation(edge: Edge) -> GraphItem:
    relation = edge.name or str(edge.edge_type)
    return GraphItem(subject=edge.source_id, relation=relation, object=edge.target_id, content=str(edge))


def _in_arm(arm: Sequence[Candidate], key: tuple[Kind, str]) -> dict[str, Any]:
    """Return a candidate's rank in an arm, its score there, and what it gave to fusion."""
    rank, candidate = next((i, c) for i, c in enumerate(arm, start=1) if (c.kind, c.id) == key)
    evidence = candidate.score if candidate.evidence is None else candidate.evidence
    return {"rank": rank, "score": candidate.score, "evidence": evidence}


def _arm_items(name: str, outcome: Outcome, limit: int) -> list[RecallItem]:
    arm: Sequence[Candidate] = outcome.arms.get(name, ())[:limit]
    top = max((candidate.score for candidate in arm), default=0.0)
    items = []
    for candidate in arm:
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
