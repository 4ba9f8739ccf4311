"""Transactions and the pool when the server restarts, a call is canceled, or an event loop ends."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from neuromem.errors import ClosedError, DatabaseError, DatabaseUnavailableError
from neuromem.memory import NeuroMemory
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.database.rows import number_parameters
from neuromem.testing import HashEmbedding
from neuromem.testing.internals import database_of
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import Server
    from tests.support.cluster import Cluster


@pytest.fixture
async def own(cluster: Cluster) -> AsyncIterator[str]:
    """A database on the server that may be restarted."""
    await cluster.execute("DROP DATABASE IF EXISTS own WITH (FORCE)", "CREATE DATABASE own OWNER app")
    await cluster.execute("CREATE EXTENSION vector", database="own")
    yield cluster.url("own", "app")
    await cluster.execute("DROP DATABASE own WITH (FORCE)")


async def test_calls_work_again_after_the_server_was_restarted(cluster: Cluster, own: str) -> None:
    async with opened(own, pool_size=4, settings={"work": {"poll": 0.05}}) as nm:
        await asyncio.gather(
            *(nm.ingest("alice", "user", f"tea {i}", "s") for i in range(8))
        )  # fills the pool
        await nm.drain()
        for mode in ("fast", "immediate"):
            cluster.stop(mode)
            cluster.start()
            results = await asyncio.gather(*(nm.recall("alice", "tea") for _ in range(8)))
            assert all(len(result["merged"]) >= 8 for result in results)
            await asyncio.gather(*(nm.ingest("alice", "user", "more tea", "s") for i in range(8)))
            assert await nm.drain() == 0


async def test_while_the_server_is_down_calls_say_so_and_the_work_waits(cluster: Cluster, own: str) -> None:
    async with opened(own, settings={"work": {"poll": 0.05}}) as nm:
        await nm.ingest("alice", "user", "tea")
        cluster.stop("immediate")
        try:
            for call in (
                nm.ingest("alice", "user", "more"),
                nm.recall("alice", "tea"),
                nm.add_memory("alice", "x"),
            ):
                with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1:\d+/own cannot be used"):
                    await call
        finally:
            cluster.start()
        assert (await nm.recall("alice", "tea"))["merged"]
        assert await nm.drain() == 0


async def test_a_connection_that_breaks_within_a_transaction_is_an_error_and_nothing_is_stored(
    server: Server, database: Database
) -> None:
    insert = "INSERT INTO {s}.users (user_id, created_at, last_tx) VALUES ('alice', now(), now())"

    async def write(*, after: str) -> None:
        async with database.user("alice") as transaction:
            await transaction.run(insert)
            pid = await transaction.value("SELECT pg_backend_pid()")
            await server.execute(f"SELECT pg_terminate_backend({pid}, 10000)")
            if after:
                await transaction.run(after)

    for after in ("SELECT 1", ""):  # noticed by a statement, or by the commit
        with pytest.raises(DatabaseUnavailableError):
            await write(after=after)
    async with database.user("alice") as transaction:
        assert await transaction.value("SELECT count(*) FROM {s}.users") == 0


async def test_errors_that_are_not_the_databases_pass_through(database: Database) -> None:
    for error in (TimeoutError("mine"), ConnectionError("mine"), KeyError("mine")):
        with pytest.raises(type(error), match="mine"):
            async with database.user("alice"):
                raise error


async def test_calls_that_are_canceled_anywhere_leave_the_pool_whole(database_url: str) -> None:
    chance = random.Random(7)
    async with opened(database_url, pool_size=3) as nm:
        await nm.ingest("alice", "user", "tea", "s")
        for i in range(100):
            calls = [
                asyncio.create_task(nm.ingest("alice", "user", f"tea {i}", "s")),
                asyncio.create_task(nm.recall("alice", "tea")),
                asyncio.create_task(nm.add_memory("alice", f"likes tea {i}")),
            ]
            for _ in range(chance.randrange(120)):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
                if chance.random() < 0.3:  # as a time limit around a task group does
                    await asyncio.sleep(0)
                    call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.gather(*(nm.ingest("alice", "user", f"more tea {i}", "s") for i in range(20)))
        assert await nm.drain() == 0
        async with database_of(nm).user("alice") as transaction:
            entries = await transaction.value("SELECT count(*) FROM {s}.entries")
            assert await transaction.value("SELECT count(*) FROM {s}.vectors") == entries >= 21


async def test_a_canceled_reader_leaves_no_open_transaction_to_the_next_user(database_url: str) -> None:
    """Its BEGIN may reach the server after the cancellation was noticed here."""
    database = Database(parse_dsn(database_url), pool_size=1)

    async def read() -> None:
        async with database.reader("alice") as transaction:
            await transaction.value("SELECT 1")

    for turns in range(40):
        reading = asyncio.create_task(read())
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        driver = await database.pool.take()
        assert await driver.fetchval("SHOW transaction_read_only") == "off"
        assert await driver.fetchval("SELECT current_setting('neuromem.user_id', true)") in (None, "")
        database.pool.give_back(driver)
    await database.close()


async def test_a_pool_that_is_used_up_says_what_to_raise(database_url: str) -> None:
    database = Database(parse_dsn(database_url), pool_size=1)
    database.pool.wait = 0.05
    async with database.user("alice"):
        with pytest.raises(DatabaseUnavailableError, match=r"became free in time; raise pool_size"):
            async with database.user("bob"):
                pass
    async with database.user("bob"):
        pass
    await database.close()


async def test_a_statement_that_takes_too_long_is_named_as_such(database: Database) -> None:
    with pytest.raises(DatabaseError, match=r"canceled .*statement timeout"):
        async with database.reader("alice", timeout=0.01) as transaction:
            await transaction.value("SELECT pg_sleep(10)")


async def test_a_reader_cannot_write_and_sees_one_snapshot(database: Database) -> None:
    with pytest.raises(DatabaseError, match="read-only"):
        async with database.reader("alice") as transaction:
            await transaction.run("DELETE FROM {s}.users")
    async with database.reader("alice") as reader:
        assert await reader.value("SELECT count(*) FROM {s}.users") == 0
        async with database.user("alice") as writer:
            await writer.run(
                "INSERT INTO {s}.users (user_id, created_at, last_tx) VALUES ('alice', now(), now())"
            )
        assert await reader.value("SELECT count(*) FROM {s}.users") == 0


async def test_changed_tables_do_not_break_statements_that_were_prepared_before(database: Database) -> None:
    """Another process may migrate while this one runs."""
    sql = "SELECT user_id, language FROM {s}.users"
    for step in ("ADD COLUMN extra int", "ALTER COLUMN extra TYPE bigint", "DROP COLUMN extra"):
        for _ in range(3):
            async with database.user("alice") as transaction:
                await transaction.all(sql)
        async with database.user("alice") as transaction:
            await transaction.run(f"ALTER TABLE {{s}}.users {step}")
    async with database.user("alice") as transaction:
        await transaction.all(sql)


def test_each_event_loop_may_have_its_own(database_url: str) -> None:
    for i in range(2):

        async def use() -> int:
            async with opened(database_url) as nm:
                await nm.ingest("alice", "user", "tea", "s")
                await nm.drain()
                return len((await nm.recall("alice", "tea"))["vector_results"])

        assert asyncio.run(use()) == i + 1


async def test_an_instance_can_be_opened_again_after_it_was_closed(database_url: str) -> None:
    nm = NeuroMemory(database_url, HashEmbedding(), "none")
    for i in range(2):
        async with nm:
            await nm.ingest("alice", "user", "tea", "s")
            assert await nm.drain() == 0
            assert len((await nm.recall("alice", "tea"))["vector_results"]) == i + 1
    await nm.close()


async def test_opening_twice_at_once_opens_once(database_url: str, server: Server) -> None:
    nm = NeuroMemory(database_url, HashEmbedding(), "none")
    await asyncio.gather(*(nm.init() for _ in range(5)))
    await nm.ingest("alice", "user", "tea")
    await nm.drain()
    await nm.close()
    connection = await asyncpg.connect(server.superuser_dsn())
    left = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1"
    async with asyncio.timeout(30):
        while await connection.fetchval(left, urlsplit(database_url).path[1:]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await connection.close()


def test_named_parameters_become_numbers_and_casts_stay() -> None:
    sql = "SELECT :user::text, CAST(:n AS int), :user, x::jsonb, '{}'::text[] FROM t WHERE a = :n_2"
    assert number_parameters(sql) == (
        "SELECT $1::text, CAST($2 AS int), $1, x::jsonb, '{}'::text[] FROM t WHERE a = $3",
        ("user", "n", "n_2"),
    )


async def test_echo_logs_statements_and_never_what_is_in_them(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="neuromem.sql"):
        async with opened(database_url, echo=True) as nm:
            await nm.ingest("alice", "user", "my secret")
            await nm.recall("alice", "secret")
    assert 'INSERT INTO "neuromem".messages' in caplog.text
    assert "secret" not in caplog.text


async def test_what_is_not_open_says_so(database_url: str) -> None:
    nm = NeuroMemory(database_url, HashEmbedding(), "none")

    async def check() -> None:
        for call in (
            lambda: nm.ingest("alice", "user", "tea"),
            lambda: nm.recall("alice", "tea"),
            nm.drain,
            lambda: nm.add_memory("alice", "tea"),
        ):
            with pytest.raises(ClosedError, match="async with"):
                await call()

    await check()
    async with nm:
        pass
    await check()
