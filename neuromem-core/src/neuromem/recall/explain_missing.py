"""``explain_missing()``: why a memory is not in an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import UUID

from neuromem.domain import validation
from neuromem.recall.deduplicate import statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import Candidate, Fused
    from neuromem.plugin.ports import Search
    from neuromem.recall.results import Outcome
    from neuromem.recall.service import RecallService

EVERYTHING = 10_000  # candidates per retriever, so that one far down is found


class Missing(TypedDict):
    """What became of one memory in one answer.

    Attributes:
        id: The memory, message or passage.
        found: Whether it is in the answer.
        rank: Its place in the answer, from 1; None when it is not in it.
        fused_rank: Its place after fusion among all candidates, from 1; None when no retriever found it.
        arms: Per retriever its ``rank``, ``score`` and ``relevance`` there, None where it was not found; of a retriever
            that searches by vectors also ``search``, how the answer was searched: "exact" or "approximate".
        dropped_by: What kept it out of the answer; None when it is in.
        why: The same in a sentence.
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
    """Return which retriever found a memory, at which rank, and what dropped it.

    Asks twice: as the question was asked, and again for so many candidates that the memory is among them.

    Args:
        service: Answers the question.
        search: Knows what excludes a memory before any search.
        query: The question, not yet resolved.
        memory_id: The memory, message or passage.
        min_relevance: The least relevance of the answer in question; None: any.

    Raises:
        InputError: ``memory_id`` is no id.
        NotFoundError: The user has nothing of that id.
        RecallError: A stage failed or was late.
    """
    validation.identifier("memory_id", memory_id)
    excluded = await search.exclusion_reason(query, memory_id)
    memory_id = str(UUID(memory_id))  # however it was written
    asked, _ = await service.run(query, min_relevance=min_relevance)
    deep, _ = await service.run(replace(query, limit=EVERYTHING, depth=EVERYTHING))
    arms = {name: _place(ranked, memory_id) for name, ranked in deep.ranked.items()}
    for name in asked.vector_lists:
        if (place := arms.get(name)) is not None:
            place["search"] = asked.vector_search
    rank = next((i for i, found in enumerate(asked.merged, 1) if found.hit.id == memory_id), None)
    fused_rank = next((i for i, item in enumerate(deep.fused, 1) if item.id == memory_id), None)
    dropped_by, why = (None, f"It is in the answer, at rank {rank}.")
    if rank is None:
        if excluded is None and fused_rank is None and not await search.is_embedded(query, memory_id):
            excluded = (
                "not_embedded",
                "No retriever found it: it shares no words with the question, and it is not embedded yet. Wait with "
                "drain(), or look at stats() for jobs that failed.",
            )
        dropped_by, why = excluded or _reason(query, asked, deep, memory_id, min_relevance)
    return Missing(
        id=memory_id,
        found=rank is not None,
        rank=rank,
        fused_rank=fused_rank,
        arms=arms,
        dropped_by=dropped_by,
        why=why,
    )


def _place(ranked: Sequence[Candidate], memory_id: str) -> dict[str, Any] | None:
    for rank, candidate in enumerate(ranked, start=1):
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
        for name in sorted(asked.vector_lists if asked.vector_search == "approximate" else ()):
            place = _place(deep.ranked.get(name, ()), memory_id)
            if place is not None and place["rank"] <= query.depth:
                return (
                    "approximate",
                    f"It is the {name} arm's number {place['rank']}, and the index over the many memories of this "
                    "user missed it; settings.vectors.exact_limit says from when on one is used.",
                )
        return (
            "depth",
            f"Every retriever that found it had more than {query.depth} better candidates; raise "
            "settings.recall.depth.",
        )
    rank = next((i for i, found in enumerate(deep.merged, 1) if found.hit.id == memory_id), None)
    if rank is None:
        return "repeats", _repeated(deep, everywhere)
    if rank <= query.limit:
        return "limit", f"It came after the best {query.limit}; among more candidates it is at rank {rank}."
    return "limit", f"It is at rank {rank}, and limit is {query.limit}."


def _repeated(deep: Outcome, item: Fused) -> str:
    """Return a sentence that names the entry which says the same and is shown instead."""
    hit = deep.hits.get((item.kind, item.id))
    other = hit and next((f.hit for f in deep.merged if statement(f.hit) == statement(hit)), None)
    return (
        f"The {other.kind} {other.id!r} says the same and stands in its place."
        if other
        else "It cannot be read."
    )
