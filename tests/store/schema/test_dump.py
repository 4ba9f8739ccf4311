"""Backups by pg_dump: complete by a role that bypasses row level security; by another one they fail or are empty."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from neuromem.testing.internals import worker_of
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.cluster import Cluster

TABLES = "SELECT relname::text FROM pg_class WHERE relnamespace = 'neuromem'::regnamespace AND relkind = 'r'"


@pytest.fixture
async def source(cluster: Cluster) -> AsyncIterator[str]:
    """A database ``source`` with what two users said, and an empty one, ``target``."""
    names = ("source", "target")
    await cluster.execute(
        *(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in names),
        *(f"CREATE DATABASE {name} OWNER app" for name in names),
    )
    await cluster.execute("CREATE EXTENSION vector", database="source")
    async with opened(cluster.url("source", "app"), worker=False) as nm:
        worker_of(nm).start()
        for user in ("alice", "bob"):
            await nm.ingest(user, "user", f"{user} likes tea", "s", metadata={"a": [1]})
            await nm.add_memory(user, f"{user} likes coffee", "fact")
            await nm.kv.set(user, "profile", "identity", user)
        await nm.drain()
        await worker_of(nm).stop()
        await nm.ingest("alice", "user", "Not yet embedded", "s")
    yield cluster.url("source")
    await cluster.execute(*(f"DROP DATABASE {name} WITH (FORCE)" for name in names))


async def counts(url: str) -> dict[str, int]:
    connection = await asyncpg.connect(url)
    try:
        tables = [row[0] for row in await connection.fetch(TABLES)]
        return {t: await connection.fetchval(f"SELECT count(*) FROM neuromem.{t}") for t in tables}
    finally:
        await connection.close()


async def test_a_dump_by_a_superuser_restored_elsewhere_has_every_row(cluster: Cluster, source: str) -> None:
    before = await counts(source)
    assert before["messages"] == 3
    assert before["jobs"] > 0
    file = cluster.folder / "dump"
    await asyncio.to_thread(cluster.run, "pg_dump", "-Fc", "-f", file, source)
    target = cluster.url("target")
    await asyncio.to_thread(cluster.run, "pg_restore", "--exit-on-error", "-d", target, file)
    assert await counts(target) == before
    async with opened(cluster.url("target", "app"), auto_migrate=False) as nm:
        assert await nm.drain() == 0  # the work that was open goes on there
        for user in ("alice", "bob"):
            found = await nm.recall(user, "Who likes tea?")
            assert found["merged"][0]["content"] == f"{user} likes tea"
            assert found["vector_results"]
        message = await nm.ingest("alice", "user", "Written after the restore", "s")
        assert message.position == 2
        assert (await nm.add_memory("alice", "alice likes coffee", "fact")).version == 1
    restored = await counts(target)
    assert restored["memories"] == before["memories"]  # it was known already


async def test_a_dump_by_the_ordinary_role_fails_and_says_why(cluster: Cluster, source: str) -> None:
    """It would come out without a row; pg_dump switches row level security off, and PostgreSQL objects."""
    del source
    with pytest.raises(AssertionError, match="row-level security"):
        cluster.run("pg_dump", "-Fc", "-f", cluster.folder / "half", cluster.url("source", "app"))


async def test_a_dump_that_insists_on_row_security_comes_out_empty(cluster: Cluster, source: str) -> None:
    del source
    file = cluster.folder / "empty.sql"
    cluster.run(
        "pg_dump",
        "--enable-row-security",
        "--inserts",
        "--data-only",
        "-f",
        file,
        cluster.url("source", "app"),
    )
    inserted = {line.split()[2] for line in file.read_text().splitlines() if line.startswith("INSERT INTO")}
    assert inserted == {"neuromem.alembic_version", "neuromem.spaces"}
