"""Migrations: by many processes at once, by roles with few privileges, and with rows in the tables."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from neuromem.errors import ConfigurationError, DatabaseUnavailableError, EmbeddingSpaceError, MigrationError
from neuromem.memory import NeuroMemory
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.database.row_security import row_security_lifted
from neuromem.store.schema.migrate import alembic_config, migration_plan, prepare_schema
from neuromem.testing import HashEmbedding
from tests.conftest import opened
from tests.support.processes import Child, Report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection

    from tests.conftest import Server
    from tests.support.cluster import Cluster


async def start_and_use(report: Report, url: str) -> None:
    report("ready")
    async with opened(url, worker=False) as nm:
        message = await nm.ingest("alice", "user", "Hello from a process of its own", "shared")
        report(message.position)


def test_eight_processes_start_at_once_on_an_empty_database(empty_url: str) -> None:
    children = [Child(start_and_use, empty_url) for _ in range(8)]
    assert [child.next() for child in children] == ["ready"] * 8
    assert sorted(child.next() for child in children) == list(range(8))


async def test_instances_of_one_process_start_at_once_on_schemas_of_their_own(empty_url: str) -> None:
    """Alembic keeps globals; and all of them want to create the extension."""
    memories = {
        f"tenant_{i}": NeuroMemory(
            empty_url, HashEmbedding(dims=8 * i), "none", schema=f"tenant_{i}", pool_size=1
        )
        for i in range(1, 7)
    }
    await asyncio.gather(*(nm.init() for nm in memories.values()))
    try:
        for schema, nm in memories.items():
            await nm.ingest("alice", "user", f"I live in {schema}")
            await nm.drain()
        for schema, nm in memories.items():
            found = await nm.recall("alice", "Where do I live?")
            assert [item["content"] for item in found["vector_results"]] == [f"I live in {schema}"]
    finally:
        await asyncio.gather(*(nm.close() for nm in memories.values()))


@pytest.mark.parametrize("name", ["Tenant", "1st", "a-b", 'a"b', "", "x" * 64, "a b"])
async def test_a_schema_name_that_needs_quoting_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="schema name"):
        Database(parse_dsn("postgresql://host/db"), schema=name)


async def test_nothing_is_created_outside_of_the_schema(empty_url: str) -> None:
    async with opened(empty_url, schema="mine") as nm:
        await nm.ingest("alice", "user", "Hello")
    connection = await asyncpg.connect(parse_dsn(empty_url).dsn)
    places = await connection.fetch(
        "SELECT DISTINCT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
    )
    assert [place["nspname"] for place in places] == ["mine"]
    assert await connection.fetchval("SELECT count(*) FROM mine.alembic_version") == 1
    await connection.close()


async def test_without_auto_migrate_an_empty_database_is_refused_and_left_empty(empty_url: str) -> None:
    with pytest.raises(
        MigrationError, match=r"'neuromem' .* revision None, .* behind; run `neuromem migrate`"
    ):
        await NeuroMemory(empty_url, HashEmbedding(), "none", auto_migrate=False).init()
    connection = await asyncpg.connect(parse_dsn(empty_url).dsn)
    assert await connection.fetchval("SELECT to_regnamespace('neuromem')") is None
    await connection.close()


async def test_without_auto_migrate_a_current_schema_opens_and_an_older_one_does_not(
    database_url: str,
) -> None:
    async with opened(database_url, auto_migrate=False) as nm:
        await nm.ingest("alice", "user", "Hello")
    connection = await asyncpg.connect(parse_dsn(database_url).dsn)
    await connection.execute("UPDATE neuromem.alembic_version SET version_num = '0001'")
    with pytest.raises(MigrationError, match=r"revision 0001, [1-9]\d* behind"):
        await NeuroMemory(database_url, HashEmbedding(), "none", auto_migrate=False).init()
    await connection.close()


async def test_a_schema_of_a_newer_version_is_left_alone(database_url: str) -> None:
    connection = await asyncpg.connect(parse_dsn(database_url).dsn)
    await connection.execute("UPDATE neuromem.alembic_version SET version_num = '9999'")
    for auto in (True, False):
        with pytest.raises(MigrationError, match=r"'9999', which this version .* Upgrade neuromem"):
            await NeuroMemory(database_url, HashEmbedding(), "none", auto_migrate=auto).init()
    assert await connection.fetchval("SELECT version_num FROM neuromem.alembic_version") == "9999"
    await connection.close()


async def test_the_plan_lists_what_is_to_come_and_changes_nothing(empty_url: str) -> None:
    database = Database(parse_dsn(empty_url))
    before = await migration_plan(database)
    assert before.current is None
    assert before.pending[0][0] == "0001"
    assert await migration_plan(database) == before
    await prepare_schema(database, migrate=True)
    after = await migration_plan(database)
    assert (after.current, after.pending) == (before.pending[-1][0], ())
    await database.close()


async def test_another_model_is_told_what_the_schema_was_filled_with(database_url: str) -> None:
    async with opened(database_url) as nm:
        await nm.ingest("alice", "user", "Hello")
    for other in (HashEmbedding(dims=32), HashEmbedding(model="other")):
        with pytest.raises(EmbeddingSpaceError, match=r"neuromem:hash \(64 dimensions\).*reembed"):
            await NeuroMemory(database_url, other, "none").init()
    async with opened(database_url, auto_migrate=False) as nm:
        assert (await nm.recall("alice", "hello"))["vector_results"]


async def test_two_models_that_open_an_empty_schema_at_once_cannot_both_have_it(database_url: str) -> None:
    memories = [
        NeuroMemory(database_url, HashEmbedding(dims=d), "none", worker=False) for d in (8, 16, 24, 32)
    ]
    results = await asyncio.gather(*(nm.init() for nm in memories), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["EmbeddingSpaceError"] * 3 + [
        "NeuroMemory"
    ]
    await asyncio.gather(*(nm.close() for nm in memories))


@pytest.fixture
async def bare(cluster: Cluster) -> AsyncIterator[str]:
    """A database without pgvector that belongs to somebody else."""
    await cluster.execute(
        "DROP DATABASE IF EXISTS bare WITH (FORCE)", "CREATE DATABASE bare TEMPLATE template0"
    )
    yield cluster.url("bare", "app")
    await cluster.execute("DROP DATABASE bare WITH (FORCE)")


async def test_without_permissions_each_error_is_the_line_an_administrator_runs(
    cluster: Cluster, bare: str
) -> None:
    async def error() -> str:
        with pytest.raises(MigrationError) as caught:
            await NeuroMemory(bare, HashEmbedding(), "none").init()
        return str(caught.value)

    assert "CREATE EXTENSION vector;" in await error()
    await cluster.execute("CREATE EXTENSION vector", database="bare")
    assert 'CREATE SCHEMA "neuromem" AUTHORIZATION' in await error()
    await cluster.execute("CREATE SCHEMA neuromem", database="bare")
    assert 'ALTER SCHEMA "neuromem" OWNER TO' in await error()
    await cluster.execute("ALTER SCHEMA neuromem OWNER TO app", database="bare")
    async with opened(bare) as nm:
        await nm.ingest("alice", "user", "Hello")


async def test_without_the_extension_checking_says_so_too(bare: str) -> None:
    with pytest.raises(MigrationError, match="CREATE EXTENSION vector;"):
        await NeuroMemory(bare, HashEmbedding(), "none", auto_migrate=False).init()


@pytest.mark.parametrize("place", ["extensions", 'Odd "Place"'])
async def test_the_extension_may_live_in_any_schema(cluster: Cluster, bare: str, place: str) -> None:
    quoted = '"' + place.replace('"', '""') + '"'
    await cluster.execute(
        f"CREATE SCHEMA {quoted}",
        f"CREATE EXTENSION vector SCHEMA {quoted}",
        f"GRANT USAGE ON SCHEMA {quoted} TO app",
        "CREATE SCHEMA neuromem AUTHORIZATION app",
        "ALTER DATABASE bare SET search_path = 'nowhere'",
        database="bare",
    )
    for _ in range(2):  # the second time the schema is there
        async with opened(bare) as nm:
            await nm.ingest("alice", "user", "I like green tea")
            await nm.drain()
            assert (await nm.recall("alice", "Who likes tea?"))["vector_results"]


async def test_a_password_that_is_refused_at_the_start_is_an_error_of_ours(cluster: Cluster) -> None:
    url = cluster.url("app", "guarded:wrong")
    with pytest.raises(DatabaseUnavailableError, match="password authentication failed"):
        await NeuroMemory(url, HashEmbedding(), "none").init()
    with pytest.raises(DatabaseUnavailableError, match="password authentication failed"):
        await migration_plan(Database(parse_dsn(url)))


async def test_a_migration_that_touches_rows_lifts_the_protection_and_sets_it_again(
    database_url: str,
) -> None:
    async with opened(database_url) as nm:
        for user in ("alice", "bob"):
            await nm.ingest(user, "user", "Hello", "s")

    def migrate(connection: Connection, *, lifted: bool) -> int:
        def execute(sql: str) -> Any:
            return connection.exec_driver_sql(sql)

        update = "UPDATE neuromem.sessions SET title = 'touched'"
        if not lifted:
            return int(execute(update).rowcount)
        with row_security_lifted(execute, "neuromem", "sessions"):
            return int(execute(update).rowcount)

    database = Database(parse_dsn(database_url))
    async with database.engine.begin() as connection:
        assert await connection.run_sync(migrate, lifted=False) == 0  # why the helper is needed
        assert await connection.run_sync(migrate, lifted=True) == 2
    async with database.user("alice") as transaction:
        assert await transaction.value(
            "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'neuromem.sessions'::regclass"
        )
        rows = await transaction.all("SELECT user_id, title FROM {s}.sessions")
        assert [tuple(row) for row in rows] == [("alice", "touched")]
    await database.close()


async def test_every_later_migration_runs_on_a_filled_database(server: Server) -> None:
    """From the first revision with rows in it, one step after the other, to the newest."""
    url = server.postgres.url(await server.create())
    database = Database(parse_dsn(url))
    script = ScriptDirectory.from_config(alembic_config())
    revisions = [revision.revision for revision in script.walk_revisions("base", "heads")][::-1]

    def upgrade(connection: Connection, to: str) -> None:
        config = alembic_config()
        config.attributes.update(connection=connection, schema="neuromem")
        command.upgrade(config, to)

    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("CREATE SCHEMA neuromem")
        await connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        await connection.run_sync(upgrade, revisions[0])
    async with database.user("alice") as transaction:
        await transaction.run(
            "INSERT INTO {s}.users (user_id, created_at, last_tx) VALUES ('alice', now(), now())"
        )
        await transaction.run(
            "INSERT INTO {s}.sessions (user_id, session_id, created_at, updated_at) "
            "VALUES ('alice', 's', now(), now())"
        )
        await transaction.run("INSERT INTO {s}.jobs (user_id, kind) VALUES ('alice', 'old')")
        await transaction.run(
            "INSERT INTO {s}.memories (user_id, memory_id, version, entry, memory_type, content, content_hash, "
            "valence, emotion, created_at) VALUES ('alice', gen_random_uuid(), 1, 1, 'fact', 'Felt fine', '', 0.5, "
            "'Joy', now())"
        )
    for revision in revisions[1:]:
        async with database.engine.begin() as connection:
            await connection.run_sync(upgrade, revision)
    async with database.user("alice") as transaction:
        assert await transaction.value("SELECT count(*) FROM {s}.sessions") == 1
    await database.close()
    async with opened(url) as nm:
        message = await nm.ingest("alice", "user", "Hello again", "s")
        assert message.position == 0
        assert (await nm.emotion_profile("alice"))["dominant_emotions"] == {"joy": 1.0}
        assert (await nm.stats("alice"))["undigested"] == 1
    await server.drop(urlsplit(url).path[1:])
