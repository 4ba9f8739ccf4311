"""HNSW indexes of users beyond `exact_limit`: when they are built and used, and what a search through them may miss."""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from neuromem.domain.query import Filters
from neuromem.plugin import EmbeddingProvider
from neuromem.store.database import sql
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.search_index.filters import filter_condition
from neuromem.store.search_index.hnsw import (
    build_index,
    hnsw_planner_settings,
    hnsw_search_expression,
    index_name,
    index_state,
)
from neuromem.store.search_index.vectors import active_space, normalized_vector
from neuromem.testing.internals import database_of
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from neuromem.domain.recall_result import RecallResult
    from neuromem.memory import NeuroMemory

LARGE = 'o\'brien "the large" \\'
LIMIT = 300
N = 800
SETTINGS = {"vectors": {"exact_limit": LIMIT}}
INDEXES = "SELECT c.relname FROM pg_class c WHERE starts_with(c.relname, 'vectors_near_') ORDER BY 1"


class Directions(EmbeddingProvider):
    """Texts point anywhere, by chance; those that begin with ``near`` or ``far`` into one of two corners."""

    provider = "tests"
    model = "directions"
    dims = 24

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> list[float]:
        chance = random.Random(text)
        vector = [chance.gauss(0, 1) for _ in range(self.dims)]
        corner = {"near": 0, "far": 1}.get(text.split()[0])
        if corner is not None:
            vector = [0.1 * x for x in vector]
            vector[corner] += 3.0
        return vector

    def nearest(self, question: str, texts: Sequence[str]) -> list[str]:
        asked = self.vector(question)

        def cosine(text: str) -> float:
            v = self.vector(text)
            return sum(a * b for a, b in zip(asked, v, strict=True)) / math.hypot(*v)

        return sorted(texts, key=cosine, reverse=True)


def texts(kind: str = "any") -> list[str]:
    return [f"{kind} thing {i}" for i in range(N)]


def found(result: RecallResult) -> list[str]:
    return [item["content"] for item in result["vector_results"]]


@asynccontextmanager
async def memory(address: str, **arguments: Any) -> AsyncIterator[NeuroMemory]:
    async with opened(address, **{"embedding": Directions(), "settings": SETTINGS, **arguments}) as nm:
        yield nm


async def fill(nm: NeuroMemory, user: str, contents: Sequence[str]) -> None:
    for start in range(0, len(contents), 200):
        batch = contents[start : start + 200]
        await nm.conversations.add_messages_batch(
            user,
            [
                {
                    "role": "user",
                    "content": text,
                    "metadata": {"rare": (start + i) % 100 == 0, "odd": i % 2 == 1, "first": text.split()[0]},
                }
                for i, text in enumerate(batch)
            ],
        )
    await nm.drain()


async def indexes(address: str) -> list[str]:
    connection = await asyncpg.connect(dsn=parse_dsn(address).dsn)
    try:
        return [row["relname"] for row in await connection.fetch(INDEXES)]
    finally:
        await connection.close()


async def test_a_large_user_is_answered_through_an_index_and_told_so(database_url: str) -> None:
    embedding = Directions()
    async with memory(database_url, pool_size=1) as nm:
        await fill(nm, LARGE, texts())
        await fill(nm, "small", ["any thing 1", "any thing else"])
        assert await indexes(database_url) == [index_name(1, LARGE)]
        hit = 0
        for i in range(10):
            question = f"any question {i}"
            result = await nm.recall(LARGE, question, explain=True)
            assert result["explain"]["vector"] == "approximate"
            assert {
                item["explain"]["arms"]["vector"]["search"]
                for item in result["merged"]
                if "vector" in item["explain"]["arms"]
            } == {"approximate"}
            hit += len(set(found(result)) & set(embedding.nearest(question, texts())[:20]))
        assert hit >= 0.9 * 200
        # on the same connection, one who is not large
        result = await nm.recall("small", "any question", explain=True)
        assert result["explain"]["vector"] == "exact"
        assert sorted(found(result)) == ["any thing 1", "any thing else"]


async def test_a_narrow_filter_of_a_large_user_gets_its_full_and_exact_answer(database_url: str) -> None:
    embedding = Directions()
    async with memory(database_url) as nm:
        await fill(nm, LARGE, texts())
        later = await nm.ingest(LARGE, "user", "near to everything")
        await nm.drain()
        question = "any question"
        rare = await nm.recall(LARGE, question, metadata={"rare": True}, explain=True)
        assert rare["explain"]["vector"] == "exact"
        assert found(rare) == embedding.nearest(question, texts()[::100])
        # so many pass this one that the index is used: what does not pass is left out, and no place stays empty
        odd = await nm.recall(LARGE, question, metadata={"odd": True}, explain=True)
        assert odd["explain"]["vector"] == "approximate"
        assert len(set(found(odd)) & set(embedding.nearest(question, texts()[1::2])[:20])) >= 18
        # what was known then is not what the index holds
        then = await nm.recall(
            LARGE, "near", as_of=later.created_at - timedelta(microseconds=1), explain=True
        )
        assert then["explain"]["vector"] == "exact"
        assert later.id not in {item["id"] for item in then["vector_results"]}
        missing = await nm.explain_missing(LARGE, question, later.id)
        assert missing["arms"]["vector"] is not None
        assert missing["arms"]["vector"]["search"] == "approximate"


async def test_what_the_index_falls_short_of_is_looked_for_exactly(database_url: str) -> None:
    """Before pgvector 0.8 a filter is applied after the search, and may leave nothing."""
    embedding = Directions()
    far = texts("far")[:400]
    async with memory(database_url) as nm:
        await fill(nm, LARGE, texts("near")[:400] + far)
        result = await nm.recall(LARGE, "near question", metadata={"first": "far"}, explain=True)
        assert result["explain"]["vector"] == "approximate"
        database_of(nm).pgvector = (0, 7)
        result = await nm.recall(LARGE, "near question", metadata={"first": "far"}, explain=True)
        assert result["explain"]["vector"] == "exact"
        assert found(result) == embedding.nearest("near question", far)[:20]


@pytest.mark.parametrize("condition", [Filters(include_extracted=True), Filters(metadata={"odd": True})])
async def test_the_index_is_what_is_read_whatever_the_planner_thinks(
    database_url: str, condition: Filters
) -> None:
    async with memory(database_url) as nm:
        await fill(nm, LARGE, texts())
        database = database_of(nm)
        space = await active_space(database)
        values = {
            "user": LARGE,
            "space": space.space,
            "vector": normalized_vector(Directions().vector("any"), space, "tests"),
            "depth": 60,
            "kinds": ["m"],
        }
        async with database.reader(LARGE, settings=hnsw_planner_settings(database, 60)) as transaction:
            near = hnsw_search_expression(space, filter_condition(condition))
            explained = sql.fill("EXPLAIN WITH {near} SELECT entry FROM near", near=near)
            plan = "\n".join(row[0] for row in await transaction.all(explained, values))
        assert f"Index Scan using {index_name(1, LARGE)}" in plan


async def test_an_index_goes_with_its_user(database_url: str) -> None:
    async with memory(database_url) as nm:
        await fill(nm, LARGE, texts())
        await fill(nm, "other", texts())
        assert len(await indexes(database_url)) == 2
        await nm.delete_user_data(LARGE)
        assert await indexes(database_url) == [index_name(1, "other")]
        result = await nm.recall("other", "any question", explain=True)
        assert result["explain"]["vector"] == "approximate"


async def test_the_next_start_builds_what_is_wanted_and_drops_what_is_left_over(database_url: str) -> None:
    async with memory(database_url, settings={}) as nm:
        await fill(nm, LARGE, texts())
        assert await indexes(database_url) == []
        database = database_of(nm)
        await build_index(database, await active_space(database), "gone")
    async with memory(database_url, settings={"vectors": {"exact_limit": LIMIT, "max_indexes": 0}}) as nm:
        await nm.drain()
        assert await indexes(database_url) == []
        result = await nm.recall(LARGE, "any question", explain=True)
        assert result["explain"]["vector"] == "exact"
    async with memory(database_url) as nm:
        await nm.drain()
        assert await indexes(database_url) == [index_name(1, LARGE)]


async def test_a_build_that_was_cut_off_is_done_again(database_url: str) -> None:
    """PostgreSQL leaves an invalid index behind; nobody may be answered from it."""
    settings = {**SETTINGS, "work": {"retry_delay": 0.1}}
    other, watching = [await asyncpg.connect(dsn=parse_dsn(database_url).dsn) for _ in range(2)]
    try:
        async with memory(database_url, settings={}) as nm:
            await fill(nm, LARGE, texts())
        held = other.transaction()
        await held.start()
        await other.execute("LOCK TABLE neuromem.vectors IN ROW EXCLUSIVE MODE")  # whom the build waits for
        async with memory(database_url, settings=settings) as nm:
            async with asyncio.timeout(30):
                while not await watching.fetchval(  # noqa: ASYNC110  another process tells
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index WHERE index_relid > 0"
                ):
                    await asyncio.sleep(0.02)
            assert await index_state(database_of(nm), 1, LARGE) != "ready"
            result = await nm.recall(LARGE, "any question", explain=True)
            assert result["explain"]["vector"] == "exact"
            await held.rollback()
            await nm.drain()
            assert await index_state(database_of(nm), 1, LARGE) == "ready"
    finally:
        await other.close()
        await watching.close()
