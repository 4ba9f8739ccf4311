"""``recall()``: checks the question, runs the pipeline, renders the answer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from neuromem.recall import moments, question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from neuromem.domain.recall import About, Query
    from neuromem.plugin.ports import Search
    from neuromem.recall.pipeline import Outcome, Pipeline


class QueryEmbeddings:
    """The last questions' vectors, so that a question asked again is not embedded again."""

    def __init__(self, embed: Callable[[str], Awaitable[Sequence[float]]], size: int = 512) -> None:
        self._embed = embed
        self._size = size
        self._known: OrderedDict[str, Sequence[float]] = OrderedDict()

    async def get(self, text: str) -> Sequence[float]:
        """Return the vector of a question."""
        if text in self._known:
            self._known.move_to_end(text)
            return self._known[text]
        vector = await self._embed(text)
        self._known[text] = vector
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return vector


class RecallService:
    """Answers questions through the pipeline."""

    def __init__(self, search: Search, pipeline: Pipeline, embeddings: QueryEmbeddings, budget: float) -> None:
        self._search = search
        self.pipeline = pipeline
        self._embeddings = embeddings
        self._budget = budget

    async def run(self, query: Query, *, skip_errors: bool) -> tuple[Outcome, About]:
        """Run the pipeline on one connection, the question's embedding beside it."""
        about = await self._search.about(query.user_id, query.filters.as_of)
        named, topic = question.read(query.text, about.speakers)
        embedding = asyncio.create_task(self._vector(topic))

        async def embed() -> Sequence[float]:
            return await asyncio.shield(embedding)

        try:
            opened = self._search.open(
                query.user_id, embed, by_meaning="vector" in self.pipeline.retrievers
            )
            async with opened as reader:
                query = replace(
                    query, named=named, topic=topic, spans=moments.read(query.text, query.now), about=about,
                    language=query.language or about.language,
                    reader=reader,
                )  # fmt: skip
                return await self.pipeline.run(query, skip_errors=skip_errors), about
        finally:
            embedding.cancel()
            await asyncio.gather(embedding, return_exceptions=True)

    async def _vector(self, text: str) -> Sequence[float]:
        async with asyncio.timeout(self._budget):
            return await self._embeddings.get(text)
