"""The pipeline behind ``recall()``: retrievers, fusion, hydrate, scoring, deduplicate, rerank."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from neuromem.domain.recall_result import Candidate, Fused
from neuromem.errors import EmbeddingSpaceError, PluginError, RecallError
from neuromem.recall.deduplicate import demote_duplicates, statement
from neuromem.recall.results import Found, Outcome, best_first, same_scores
from neuromem.recall.signals import Signals
from neuromem.recall.timeout import guarded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from neuromem.domain.query import Kind, Query
    from neuromem.domain.recall_result import RetrievedItem
    from neuromem.plugin.ports import Reader
    from neuromem.plugin.stages import Fusion, Reranker, Retriever
    from neuromem.recall.results import Weighted
    from neuromem.recall.signals import QuestionSignals

    Hits = dict[tuple[Kind, str], RetrievedItem]

T = TypeVar("T", Candidate, Fused)

DEEPER, DEEPEST = 8, 10_000  # factor and bound of the depth when entries that say the same fill a list


class Pipeline:
    """The active stages; made once, used by many recalls at the same time.

    Attributes:
        retrievers: By name, in their order.
        uses_vectors: The names of those that search by the question's vector.
        uses_relations: The names of those that follow the relations of what the question names.
    """

    def __init__(
        self,
        *,
        retrievers: Mapping[str, Retriever],
        fusion: Fusion,
        scorers: Mapping[str, Weighted],
        rerankers: Mapping[str, Reranker],
        timeout: float,
        uses_vectors: Set[str] = frozenset(),
        uses_relations: Set[str] = frozenset(),
    ) -> None:
        self.retrievers = dict(retrievers)
        self.uses_vectors = uses_vectors
        self.uses_relations = uses_relations
        self._fusion = fusion
        self._signals = Signals(scorers)
        self._rerankers = dict(rerankers)
        self._timeout = timeout

    async def run(
        self,
        query: Query,
        reader: Reader,
        *,
        min_relevance: float | None = None,
        skip_errors: bool = False,
    ) -> Outcome:
        """Answer a question.

        Args:
            query: The question, resolved.
            reader: Reads what the question may see.
            min_relevance: What is less relevant is left out; None: nothing.
            skip_errors: Whether a failing or late retriever or reranker is named in the outcome instead of raised.

        Returns:
            At most ``query.limit`` items, and what led to them; of entries that say the same only the best.

        Raises:
            RecallError: A stage failed or was late.
        """
        outcome = await self._ranked(query, reader, min_relevance, skip_errors=skip_errors)
        while query.depth < DEEPEST and _starved(outcome, query):
            query = replace(query, depth=min(DEEPEST, query.depth * DEEPER))
            outcome = await self._ranked(query, reader, min_relevance, skip_errors=skip_errors)
        merged, skipped = outcome.merged, [*outcome.skipped]
        for name, reranker in self._rerankers.items():
            reranked = _reranked(query, name, reranker, merged)
            try:
                merged = await guarded("reranker", name, query, self._timeout, reranked)
            except RecallError:
                if not skip_errors:
                    raise
                skipped.append(name)
        return replace(outcome, merged=merged[: query.limit], skipped=skipped)

    async def close(self) -> None:
        """Close the retrievers and rerankers that can be closed: they may hold connections."""
        for stage in (*self.retrievers.values(), *self._rerankers.values()):
            if (close := getattr(stage, "close", None)) is not None:
                await close()

    async def _ranked(
        self, query: Query, reader: Reader, min_relevance: float | None, *, skip_errors: bool
    ) -> Outcome:
        """Return the answer before reranking, some items longer than asked for where the order may yet change."""
        ranked, skipped = await self._retrieve(query, reader, skip_errors=skip_errors)
        suppressed = {(c.kind, c.id) for found in ranked.values() for c in found if c.suppressed}
        fused = everything = _shown(self._fusion.fuse(ranked), suppressed)
        ranked = _ordered({name: _shown(found, suppressed) for name, found in ranked.items()}, fused)
        if min_relevance is not None:
            fused = [item for item in fused if item.relevance >= min_relevance]
        signals = self._signals.for_question(query)
        # Of a message and what was derived from it one may be demoted.
        both = {"message", "memory"} <= {item.kind for item in fused}
        most = query.limit * (2 if self._rerankers or both else 1)
        wanted = {(c.kind, c.id) for found in ranked.values() for c in found[: query.limit]}
        wanted.update((item.kind, item.id) for item in fused[:most])
        if len(fused) > most:
            # Items that may overtake some of these are read in the same statement: half of the signals is a guess
            # that is seldom too low, and what it misses is read later.
            least = fused[most - 1].score - signals.most / 2
            wanted.update((item.kind, item.id) for item in fused[most:] if item.score > least)
        hits: Hits = {}
        await _hydrate(query, reader, [i for i in everything if (i.kind, i.id) in wanted], hits)
        best = await self._best(query, reader, signals, fused, most, hits)
        merged = demote_duplicates(best)[:most]
        return Outcome(merged, ranked, hits, skipped, fused, weights=self._signals.weights)

    async def _retrieve(
        self, query: Query, reader: Reader, *, skip_errors: bool
    ) -> tuple[dict[str, Sequence[Candidate]], list[str]]:
        """Ask all retrievers at the same time; return their lists and the names of those that failed."""
        names = list(self.retrievers)
        tasks = (self._retrieve_one(name, query, reader) for name in names)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        ranked: dict[str, Sequence[Candidate]] = {}
        skipped: list[str] = []
        for name, result in zip(names, results, strict=True):
            if isinstance(result, RecallError | EmbeddingSpaceError):
                if not skip_errors:
                    raise result
                skipped.append(name)
            elif isinstance(result, BaseException):
                raise result
            else:
                ranked[name] = result
        return ranked, skipped

    async def _retrieve_one(self, name: str, query: Query, reader: Reader) -> Sequence[Candidate]:
        work = self.retrievers[name].candidates(query, reader)
        return await guarded("retriever", name, query, self._timeout, work)

    async def _best(
        self,
        query: Query,
        reader: Reader,
        signals: QuestionSignals,
        fused: Sequence[Fused],
        most: int,
        hits: Hits,
    ) -> list[Found]:
        """Return the best item of each statement, scored, ``most`` or more where there are as many.

        Signals only add, and within bounds: what would stay below the last of the best even with all of them is
        neither read nor scored.
        """
        best: dict[str, Found] = {}
        ordered: list[Found] = []
        floor = -1.0
        for start in range(0, len(fused), most):
            some = [item for item in fused[start : start + most] if item.score > floor]
            if not some:
                break
            if any((item.kind, item.id) not in hits for item in some):
                rest = [item for item in fused[start:] if item.score > floor] if start else some
                await _hydrate(query, reader, rest, hits)
            for item in some:
                if (hit := hits.get((item.kind, item.id))) is not None:
                    found = signals.score(hit)
                    says = statement(hit)
                    other = best.get(says)
                    if other is None or best_first(found) < best_first(other):
                        best[says] = found
            ordered = sorted(best.values(), key=best_first)
            if len(ordered) >= most:
                floor = signals.least_fused(ordered[most - 1].score)
        return ordered


def _shown(found: Sequence[T], suppressed: Set[tuple[Kind, str]]) -> Sequence[T]:
    """Return what may be shown: suppressed candidates only lent their scores."""
    return [item for item in found if (item.kind, item.id) not in suppressed] if suppressed else found


def _ordered(
    ranked: Mapping[str, Sequence[Candidate]], fused: Sequence[Fused]
) -> dict[str, Sequence[Candidate]]:
    """Return the lists, each best first; one whose scores are all equal in the order of the fusion."""
    without_order = {name for name, found in ranked.items() if same_scores(found)}
    if not without_order:
        return dict(ranked)
    place = {(item.kind, item.id): i for i, item in enumerate(fused)}
    return {
        name: sorted(found, key=lambda c: place.get((c.kind, c.id), len(place)))
        if name in without_order
        else found
        for name, found in ranked.items()
    }


def _starved(outcome: Outcome, query: Query) -> bool:
    """Return whether entries that say the same took the places of others, of which the retrievers have more."""
    few = len(outcome.merged) < query.limit and len(outcome.merged) < len(outcome.fused)
    return few and any(len(found) >= query.depth for found in outcome.ranked.values())


async def _hydrate(query: Query, reader: Reader, items: Sequence[Fused], hits: Hits) -> None:
    """Read what is stored about the items that are not yet among the hits."""
    missing = [item for item in items if (item.kind, item.id) not in hits]
    if missing:
        hits.update({(hit.kind, hit.id): hit for hit in await reader.load(query, missing)})


async def _reranked(query: Query, name: str, reranker: Reranker, merged: Sequence[Found]) -> list[Found]:
    """Order the hits by a reranker's relevance, which becomes their score."""
    relevance = [*await reranker.rerank(query, [found.hit for found in merged])]
    if len(relevance) != len(merged):
        raise PluginError(f"It returned {len(relevance)} numbers for {len(merged)} hits.")
    if not all(0.0 <= score <= 1.0 for score in relevance):
        raise PluginError(f"It returned {relevance!r:.200}; a relevance lies in [0, 1].")
    reranked = [
        replace(found, score=score, signals={**found.signals, name: score})
        for found, score in zip(merged, relevance, strict=True)
    ]
    reranked.sort(key=best_first)
    return reranked
