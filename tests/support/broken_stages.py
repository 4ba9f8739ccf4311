"""Stages, plugins and databases that are broken, each in one way, for the contracts to catch."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neuromem.domain.extraction import ExtractedMemory, Extraction
from neuromem.plugin import DatabaseProvider, EmbeddingProvider, Observer, ProviderSpec, hookimpl
from neuromem.recall.rank_fusion import ReciprocalRankFusion
from neuromem.testing import HashEmbedding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuromem.domain.recall_result import Candidate, Fused


class Extracting:
    """Keeps every message, but for what is broken."""

    def __init__(self, change: Callable[[ExtractedMemory], ExtractedMemory] = lambda memory: memory) -> None:
        self._change = change

    async def extract(self, window: Any) -> Extraction:
        found = [ExtractedMemory(message.content, "fact", (message.id,)) for message in window.messages]
        return Extraction(memories=[self._change(memory) for memory in found])


class FindsNothing(Extracting):
    async def extract(self, window: Any) -> Extraction:
        return Extraction()


class Remembering(Extracting):
    last: Any = None

    async def extract(self, window: Any) -> Extraction:
        self.last = window
        await asyncio.sleep(0)
        return await super().extract(self.last)


class Numbering(Extracting):
    def __init__(self) -> None:
        count = itertools.count()
        super().__init__(lambda memory: replace(memory, content=f"{memory.content} ({next(count)})"))


class Fusing(ReciprocalRankFusion):
    """Fuses by ranks, and ``breaks`` it."""

    def __init__(self, breaks: Callable[[list[Fused], Any], Any]) -> None:
        super().__init__()
        self._breaks = breaks

    def fuse(self, ranked: Any) -> Sequence[Fused]:
        broken: Sequence[Fused] = self._breaks(list(super().fuse(ranked)), ranked)
        return broken


def by_id_alone(fused: list[Fused], ranked: Any) -> list[Fused]:
    return list({item.id: item for item in fused}.values())


def by_arrival(fused: list[Fused], ranked: Any) -> list[Fused]:
    order = {c.id: n for n, c in enumerate(c for arm in ranked.values() for c in arm)}
    return [
        replace(item, score=1 / (1 + order[item.id])) for item in sorted(fused, key=lambda f: order[f.id])
    ]


def emptied(fused: list[Fused], ranked: Any) -> list[Fused]:
    for arm in ranked.values():
        arm.clear()
    return fused


class Scoring:
    """A signal from a function."""

    def __init__(self, signal: Callable[[], float], *, applies: bool = True) -> None:
        self._signal = signal
        if not applies:
            self.applies = lambda query: False

    def score(self, query: Any, candidate: Any) -> float:
        return self._signal()


class Judging:
    """Judges by length, and ``breaks`` it."""

    def __init__(self, breaks: Callable[[list[float]], list[float]] = list, *, keeps: bool = False) -> None:
        self._breaks = breaks
        self._keeps = keeps

    async def rerank(self, query: Any, hits: Any) -> Sequence[float]:
        if self._keeps:
            self._hits = hits
            await asyncio.sleep(0)
            hits = self._hits
        return self._breaks([1 / (1 + len(hit.content)) for hit in hits])


class AwaitedObserver(Observer):
    async def on_llm_call(self, event: Any) -> None:  # type: ignore[override]
        return


class GreedyObserver(Observer):
    def on_embedding_call(self, event: Any) -> None:
        event.clear()


class Retrieving:
    """Finds by words, and ``breaks`` it."""

    def __init__(self, breaks: Callable[[list[Candidate]], Sequence[Candidate]]) -> None:
        self._breaks = breaks

    async def candidates(self, query: Any, reader: Any) -> Sequence[Candidate]:
        return self._breaks(list(await reader.lexical(query)))


class RetrievingForOthers(Retrieving):
    """Remembers what it found first, whoever asks."""

    def __init__(self) -> None:
        self._kept: list[Candidate] = []
        super().__init__(self._first)

    def _first(self, found: list[Candidate]) -> list[Candidate]:
        self._kept = self._kept or found[:3]
        return self._kept


class RetrievingLess(Retrieving):
    """Finds less every time."""

    def __init__(self) -> None:
        count = itertools.count()
        super().__init__(lambda found: found[next(count) :])


class RetrievingOnOneLoop(Retrieving):
    def __init__(self) -> None:
        super().__init__(lambda found: found)
        self._loop: Any = None

    async def candidates(self, query: Any, reader: Any) -> Sequence[Candidate]:
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("it is bound to a different event loop")
        return await super().candidates(query, reader)


class FixedDatabase(DatabaseProvider):
    """Leads somewhere."""

    def __init__(self, *urls: str) -> None:
        self._urls = itertools.cycle(urls)

    async def open(self) -> str:
        return next(self._urls)


class Unready:
    """A plugin whose provider cannot be built."""

    @hookimpl
    def neuromem_embeddings(self) -> list[ProviderSpec[EmbeddingProvider]]:
        return [ProviderSpec("unready", lambda ctx: 1, "Is no embedding")]  # type: ignore[arg-type, return-value]


class Moody:
    """A plugin that offers something else every time."""

    def __init__(self) -> None:
        self._names = map("moody-{}".format, itertools.count())

    @hookimpl
    def neuromem_embeddings(self) -> list[ProviderSpec[EmbeddingProvider]]:
        return [ProviderSpec(next(self._names), lambda ctx: HashEmbedding(), "Changes its mind")]


class Needy:
    """A plugin that does not load."""

    @hookimpl
    def neuromem_no_such_hook(self) -> list[Any]:
        return []


def over(low: float, high: float) -> Callable[[list[Fused], Any], list[Fused]]:
    return lambda fused, _: [replace(item, score=low + (high - low) * item.score) for item in fused]
