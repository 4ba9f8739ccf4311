"""``explain_missing()``: why a memory is not in an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import UUID

from neuromem.domain import validation
from neuromem.recall.pipeline import statement

if TYPE_CHECKING:
    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import Candidate, Fused
    from neuromem.plugin.ports import Search
    from neuromem.recall.pipeline import Outcome
    from neuromem.recall.service import RecallService

EVERYTHING = 10_000  # candidates per retriever, when one that is far down is looked for


class Missing(TypedDict):
    """What became of one memory in one answer.

    ``arms`` holds, per retriever, its rank and score there, or None where it was not found; under ``vector`` also
    ``search``, how the answer was searched for: ``exact`` or ``approximate``. ``rank`` is its place in the answer, or
    None; ``dropped_by`` names what kept it out (None when it is in), and ``why`` says it in a sentence.
    """

    id: str
    found: bool
    rank: int | None
    fused_rank: int | None
    arms: dict[str, dict[str, Any] | None]
    dropped_by: str | None
    why: str


async def explain(
    service: RecallService, search: Search, query: Query, memory_id: str, min_relevance: float | None
) -> Missing:
    """Return which retriever saw a memory, at which rank, and what dropped it."""
    validation.identifier("memory_id", memory_id)
    hidden = await search.exclusion_reason(query, memory_id)
    memory_id = str(UUID(memory_id))  # however it was written
    asked, _ = await service.run(query, min_relevance=min_relevance)
    deep, _ = await service.run(replace(query, limit=EVERYTHING, depth=EVERYTHING))
    arms = {name: _place(arm, memory_id) for name, arm in deep.arms.items()}
    if (vector := arms.get("vector")) is not None:
        vector["search"] = asked.search
    rank = next((i for i, found in enumerate(asked.merged, 1) if found.hit.id == memory_id), None)
    fused_rank = next((i for i, item in enumerate(deep.fused, 1) if item.id == memory_id), None)
    dropped_by, why = (None, f"It is in the answer, at rank {rank}.")
    if rank is None:
        if hidden is None and fused_rank is None and not await search.is_embedded(query, memory_id):
            hidden = (
                "not_embedded",
                "No retriever found it: it shares no words with the question, and it is not embedded yet. Wait with "
                "drain(), or look at stats() for jobs that failed.",
            )
        dropped_by, why = hidden or _reason(query, asked, deep, memory_id, min_relevance)
    return Missing(
        id=memory_id,
        found=rank is not None,
        rank=rank,
        fused_rank=fused_rank,
        arms=arms,
        dropped_by=dropped_by,
        why=why,
    )


def _place(arm: Any, memory_id: str) -> dict[str, Any] | None:
    candidate: Candidate
    for rank, candidate in enumerate(arm, start=1):
        if candidate.id == memory_id:
            return {"rank": rank, "score": candidate.score, "relevance": candidate.relevance}
    return None


def _reason(
    query: Query, asked: Outcome, deep: Outcome, memory_id: str, min_relevance: float | None
) -> tuple[str, str]:
    everywhere = next((item for item in deep.fused if item.id == memory_id), None)
    if everywhere is None:
        return (
            "retrievers",
            "No retriever found it: it shares no words with the question and is not near in meaning.",
        )
    if min_relevance is not None and everywhere.relevance < min_relevance:
        return (
            "min_score",
            f"Its relevance, {everywhere.relevance:.2f}, is below min_score, {min_relevance:.2f}.",
        )
    if not any(item.id == memory_id for item in asked.fused):
        vector = _place(deep.arms.get("vector", ()), memory_id)
        if asked.search == "approximate" and vector is not None and vector["rank"] <= query.depth:
            return (
                "approximate",
                f"It is the vector arm's number {vector['rank']}, and the index over the many memories of this "
                "user missed it; settings.vectors.exact_limit says from when on one is used.",
            )
        return (
            "depth",
            f"Every retriever that found it had more than {query.depth} better candidates; raise "
            "settings.recall.depth.",
        )
    place = next((i for i, found in enumerate(deep.merged, 1) if found.hit.id == memory_id), None)
    if place is None:
        return "repeats", _repeated(deep, everywhere)
    if place <= query.limit:
        return "limit", f"It came after the best {query.limit}; among more candidates it is at rank {place}."
    return "limit", f"It is at rank {place}, and limit is {query.limit}."


def _repeated(deep: Outcome, item: Fused) -> str:
    """Say which entry stands in the place of one that says the same."""
    hit = deep.hits.get((item.kind, item.id))
    other = hit and next((f.hit for f in deep.merged if statement(f.hit) == statement(hit)), None)
    return (
        f"The {other.kind} {other.id!r} says the same and stands in its place."
        if other
        else "It cannot be read."
    )
