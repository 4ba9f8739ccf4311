"""``recall()``: checks the question, runs the pipeline, renders the answer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from neuromem.domain.recall import Query
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

    def __init__(self, search: Search, pipeline: Pipeline, embeddings: QueryEmbeddings) -> None:
        self._search = search
        self.pipeline = pipeline
        self._embeddings = embeddings

    async def run(self, query: Query, *, skip_errors: bool) -> Outcome:
        """Run the pipeline on one connection, the question's embedding beside it."""
        embedding = asyncio.create_task(self._vector(query.text))
        try:
            async with self._search.open(query.user_id, lambda: asyncio.shield(embedding)) as reader:
                return await self.pipeline.run(replace(query, reader=reader), skip_errors=skip_errors)
        finally:
            embedding.cancel()
            await asyncio.gather(embedding, return_exceptions=True)

    async def _vector(self, text: str) -> Sequence[float]:
        return await self._embeddings.get(text)
