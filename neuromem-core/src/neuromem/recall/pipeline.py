"""The pipeline behind ``recall()``: candidates, fusion, scoring, optional reranking."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from neuromem.domain.recall_result import Candidate, Fused
from neuromem.errors import EmbeddingSpaceError, PluginError, RecallError
from neuromem.recall import deduplicate
from neuromem.recall.timeout import guarded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from neuromem.domain.graph import Edge
    from neuromem.domain.query import Kind, Query
    from neuromem.domain.recall_result import RetrievedItem, Turn, VectorSearch
    from neuromem.plugin.ports import Reader
    from neuromem.plugin.stages import Fusion, Reranker, Retriever, Scorer

T = TypeVar("T", Candidate, Fused)

DEEPER, DEEPEST = 8, 10_000  # how a question is asked again that finds the same again and again


@dataclass(frozen=True, slots=True)
class Weighted:
    """A scorer and what its signal of 1 adds to a fused score, which lies in [0, 1]."""

    scorer: Scorer
    weight: float


@dataclass(frozen=True, slots=True)
class Found:
    """A hit with every number that led to its place.

    ``left`` is the part of its score that was left to what others show, too.
    """

    hit: RetrievedItem
    score: float
    signals: Mapping[str, float] = field(default_factory=dict)
    left: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of the pipeline found: the merged list, each arm's list, what is stored about all of them.

    ``search`` says how the vector arm searched, if it did; ``weights`` are those of the signals.
    """

    merged: Sequence[Found]
    arms: Mapping[str, Sequence[Candidate]]
    hits: Mapping[tuple[Kind, str], RetrievedItem]
    skipped: Sequence[str]
    fused: Sequence[Fused] = ()
    relations: Sequence[Edge] = ()
    search: VectorSearch | None = None
    turns: Mapping[str, Sequence[Turn]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)


class Pipeline:
    """The stages in force; made once, used by many recalls at the same time."""

    def __init__(
        self,
        *,
        retrievers: Mapping[str, Retriever],
        fusion: Fusion,
        scorers: Mapping[str, Weighted],
        rerankers: Mapping[str, Reranker],
        timeout: float,
    ) -> None:
        self.retrievers = dict(retrievers)
        self.fusion = fusion
        self.scorers = dict(scorers)
        self.rerankers = dict(rerankers)
        self._timeout = timeout
        self._silent = dict.fromkeys(self.scorers, 0.0)
        self._highest = 1.0 + sum(weighted.weight for weighted in self.scorers.values())

    async def run(
        self,
        query: Query,
        reader: Reader,
        *,
        min_relevance: float | None = None,
        skip_errors: bool = False,
    ) -> Outcome:
        """Answer a question.

        What is less relevant than ``min_relevance`` is left out, and of entries that say the same only the best
        stays. With ``skip_errors`` a failing or late retriever or reranker is named instead of raised.
        """
        outcome = await self._ranked(query, reader, min_relevance, skip_errors=skip_errors)
        while query.depth < DEEPEST and _starved(outcome, query):
            query = replace(query, depth=min(DEEPEST, query.depth * DEEPER))
            outcome = await self._ranked(query, reader, min_relevance, skip_errors=skip_errors)
        merged, skipped = outcome.merged, [*outcome.skipped]
        for name, reranker in self.rerankers.items():
            asked = _reranked(query, name, reranker, merged)
            try:
                merged = await guarded("reranker", name, query, self._timeout, asked)
            except RecallError:
                if not skip_errors:
                    raise
                skipped.append(name)
        return replace(outcome, merged=merged[: query.limit], skipped=skipped)

    async def _ranked(
        self, query: Query, reader: Reader, min_relevance: float | None, *, skip_errors: bool
    ) -> Outcome:
        """Return what the retrievers found, scored and in order, some more than asked for where it may yet change."""
        arms, skipped = await self._candidates(query, reader, skip_errors=skip_errors)
        hidden = {(c.kind, c.id) for arm in arms.values() for c in arm if c.hidden}
        fused = everything = _seen(self.fusion.fuse(arms), hidden)
        arms = _ordered({name: _seen(arm, hidden) for name, arm in arms.items()}, fused)
        if min_relevance is not None:
            fused = [item for item in fused if item.relevance >= min_relevance]
        speaking = self._speaking(query)
        # Of a fact and its message one may step back.
        both = {"message", "memory"} <= {item.kind for item in fused}
        most = query.limit * (2 if self.rerankers or both else 1)
        shown = {(c.kind, c.id) for arm in arms.values() for c in arm[: query.limit]}
        shown.update((item.kind, item.id) for item in fused[:most])
        if len(fused) > most:
            # Who will overtake some of these comes with them: signals are seldom all against one.
            least = fused[most - 1].score - _most(speaking) / 2
            shown.update((item.kind, item.id) for item in fused[most:] if item.score > least)
        hits: dict[tuple[Kind, str], RetrievedItem] = {}
        await _fill(query, reader, [item for item in everything if (item.kind, item.id) in shown], hits)
        merged = await self._best(query, reader, speaking, fused, most, hits)
        merged = deduplicate.told_once(merged)[:most]
        weights = {name: weighted.weight for name, weighted in self.scorers.items()}
        return Outcome(merged, arms, hits, skipped, fused, weights=weights)

    async def close(self) -> None:
        """Close the retrievers and rerankers that can be closed: they may hold connections."""
        for stage in (*self.retrievers.values(), *self.rerankers.values()):
            if (close := getattr(stage, "close", None)) is not None:
                await close()

    async def _candidates(
        self, query: Query, reader: Reader, *, skip_errors: bool
    ) -> tuple[dict[str, Sequence[Candidate]], list[str]]:
        names = list(self.retrievers)
        results = await asyncio.gather(
            *(self._one(name, query, reader) for name in names), return_exceptions=True
        )
        arms: dict[str, Sequence[Candidate]] = {}
        skipped: list[str] = []
        for name, result in zip(names, results, strict=True):
            if isinstance(result, RecallError | EmbeddingSpaceError):
                if not skip_errors:
                    raise result
                skipped.append(name)
            elif isinstance(result, BaseException):
                raise result
            else:
                arms[name] = result
        return arms, skipped

    async def _one(self, name: str, query: Query, reader: Reader) -> Sequence[Candidate]:
        work = self.retrievers[name].candidates(query, reader)
        return await guarded("retriever", name, query, self._timeout, work)

    async def _best(
        self,
        query: Query,
        reader: Reader,
        speaking: Mapping[str, Weighted],
        fused: Sequence[Fused],
        most: int,
        hits: dict[tuple[Kind, str], RetrievedItem],
    ) -> list[Found]:
        """Return the best of each statement, as many as are asked for at the least.

        Signals only add, and within bounds: whoever stays below the last of the best even with all of them is
        neither loaded nor scored.
        """
        best: dict[str, Found] = {}
        ordered: list[Found] = []
        floor = -1.0
        for taken in range(0, len(fused), most):
            some = [item for item in fused[taken : taken + most] if item.score > floor]
            if not some:
                break
            if any((item.kind, item.id) not in hits for item in some):
                await _fill(
                    query, reader, [i for i in fused[taken:] if i.score > floor] if taken else some, hits
                )
            for item in some:
                if (hit := hits.get((item.kind, item.id))) is not None:
                    found = self._scored(query, hit, speaking)
                    said = statement(hit)
                    other = best.get(said)
                    if other is None or _order(found) < _order(other):
                        best[said] = found
            ordered = sorted(best.values(), key=_order)
            if len(ordered) >= most:
                floor = ordered[most - 1].score * self._highest - _most(speaking)
        return ordered

    def _speaking(self, query: Query) -> dict[str, Weighted]:
        """Return the scorers that may tell anything about an answer to the question."""
        return {n: w for n, w in self.scorers.items() if not getattr(w.scorer, "mute", _never)(query)}

    def _scored(self, query: Query, hit: RetrievedItem, speaking: Mapping[str, Weighted]) -> Found:
        """Add the weighted signals to the fused score; the sum is scaled back to [0, 1]."""
        signals = self._silent.copy()
        score = hit.score
        for name, weighted in speaking.items():
            try:
                signal = signals[name] = weighted.scorer.score(query, hit)
                sound = 0.0 <= signal <= 1.0
            except Exception as error:
                raise RecallError(
                    f"The scorer {name!r} failed for a question of user {query.user_id!r}: {error!r}. "
                    "Put it into settings.disable to answer without it.",
                    arm=name,
                ) from error
            if not sound:
                raise RecallError(
                    f"The scorer {name!r} returned {signal!r}; a signal lies in [0, 1].", arm=name
                )
            score += weighted.weight * signal
        return Found(hit, min(1.0, max(0.0, score / self._highest)), signals)


def _seen(found: Sequence[T], hidden: Set[tuple[Kind, str]]) -> Sequence[T]:
    """Return what may be shown: what is hidden was only to lend its evidence."""
    return [item for item in found if (item.kind, item.id) not in hidden] if hidden else found


def _ordered(
    arms: Mapping[str, Sequence[Candidate]], fused: Sequence[Fused]
) -> dict[str, Sequence[Candidate]]:
    """Return the arms, each best first: in its own order, or where its scores tell nothing in that of fusion."""
    telling_nothing = {name for name, arm in arms.items() if arm and arm[0].score == arm[-1].score}
    if not telling_nothing:
        return dict(arms)
    place = {(item.kind, item.id): i for i, item in enumerate(fused)}
    return {
        name: sorted(arm, key=lambda c: place.get((c.kind, c.id), len(place)))
        if name in telling_nothing
        else arm
        for name, arm in arms.items()
    }


def _starved(outcome: Outcome, query: Query) -> bool:
    """Tell whether entries that say the same took the places of others, of which the retrievers have more."""
    few = len(outcome.merged) < query.limit and len(outcome.merged) < len(outcome.fused)
    return few and any(len(arm) >= query.depth for arm in outcome.arms.values())


def _most(speaking: Mapping[str, Weighted]) -> float:
    """Return what all signals together can add to a score."""
    return sum(weighted.weight for weighted in speaking.values())


def _never(query: Query) -> bool:
    del query
    return False


def statement(hit: RetrievedItem) -> str:
    """Return what a hit says; what differs in case, spaces or a final stop says the same."""
    return " ".join(hit.content.casefold().split()).rstrip(".!?。！？ ")


def _order(found: Found) -> tuple[float, str]:
    return -found.score, found.hit.id


async def _fill(
    query: Query, reader: Reader, items: Sequence[Fused], hits: dict[tuple[Kind, str], RetrievedItem]
) -> None:
    """Load what is not yet among the hits."""
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
    again = [
        replace(found, score=score, signals={**found.signals, name: score})
        for found, score in zip(merged, relevance, strict=True)
    ]
    again.sort(key=_order)
    return again
