"""Behind a pooler in transaction mode each transaction may meet another connection of the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from neuromem.testing.internals import database_of
from tests.conftest import opened
from tests.support import pgbouncer
from tests.support.processes import Child

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.cluster import Cluster
    from tests.support.processes import Report

pytestmark = pytest.mark.skipif(pgbouncer.find() is None, reason="pgbouncer is not installed")

SETTINGS = {"work": {"poll": 0.05}}


@pytest.fixture
async def pooled_url(cluster: Cluster) -> AsyncIterator[str]:
    """A database behind a pgbouncer that has three connections for everybody."""
    await cluster.execute("DROP DATABASE IF EXISTS pooled WITH (FORCE)", "CREATE DATABASE pooled OWNER app")
    await cluster.execute("CREATE EXTENSION vector", database="pooled")
    bouncer = pgbouncer.PgBouncer(cluster, size=3)
    yield bouncer.url("pooled")
    bouncer.stop()
    await cluster.execute("DROP DATABASE pooled WITH (FORCE)")


async def talk(report: Report, url: str, who: str) -> None:
    """Ingest and recall for ten users, all at once."""

    async def one(user: str) -> None:
        for i in range(3):
            await nm.ingest(user, "user", f"{user} likes tea number {i}", "s")
            found = await nm.recall(user, "Who likes tea?")
            contents = [item["content"] for item in found["merged"]]
            assert len(contents) == i + 1
            assert all(content.startswith(user) for content in contents)
        await nm.add_memory(user, f"{user} likes tea")

    async with opened(url, pooler="transaction", pool_size=6, settings=SETTINGS) as nm:
        await asyncio.gather(*(one(f"{who}-{i}") for i in range(10)))
        assert await nm.drain() == 0
        for i in range(10):
            found = await nm.recall(f"{who}-{i}", "tea")
            assert found["pending"] == 0
            assert len(found["vector_results"]) == 4
    report("done")


async def test_thirty_users_of_three_processes_share_three_connections(pooled_url: str) -> None:
    """Eighteen clients start at once on an empty schema, then ask for everything at once."""
    children = [Child(talk, pooled_url, who) for who in ("first", "second")]
    reports: list[str] = []
    await talk(reports.append, pooled_url, "own")
    assert [*(child.next() for child in children), *reports] == ["done"] * 3


async def test_a_setting_made_for_one_user_is_gone_with_the_transaction(pooled_url: str) -> None:
    async with opened(pooled_url, pooler="transaction", pool_size=6) as nm:
        database = database_of(nm)

        async def look(user: str) -> None:
            async with database.user(user) as transaction:
                await asyncio.sleep(0)
                assert await transaction.value("SELECT current_setting('neuromem.user_id')") == user

        await asyncio.gather(*(look(f"user-{i % 7}") for i in range(100)))
        connection = await database.pool.take()
        for _ in range(10):
            assert await connection.fetchval("SELECT current_setting('neuromem.user_id', true)") in (None, "")
        database.pool.give_back(connection)
