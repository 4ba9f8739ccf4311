"""Fixtures that everybody shares: a real PostgreSQL, a database per test, a NeuroMemory on it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest
from filelock import FileLock

from neuromem.memory import NeuroMemory
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.schema.migrate import prepare_schema
from neuromem.testing import HashEmbedding
from neuromem_local.server import EmbeddedPostgres
from tests.slow import SLOW
from tests.support.s3_server import S3Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

TEMPLATE = "migrated"


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are listed as slow."""
    for item in items:
        if item.nodeid.removeprefix("tests/").startswith(SLOW):
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer has set must not decide what a test sees."""
    for name in [name for name in os.environ if name.startswith(("NEUROMEM_", "AWS_", "S3_"))]:
        monkeypatch.delenv(name)


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL and the ways to talk to it."""

    postgres: EmbeddedPostgres

    def superuser_dsn(self, database: str = "postgres") -> str:
        return self.postgres.superuser_url(database).replace("+asyncpg", "")

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each on its own."""
        connection = await asyncpg.connect(self.superuser_dsn(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def create(self, template: str = "template1") -> str:
        """Create a database of the ordinary role and return its name."""
        name = f"t{uuid4().hex[:16]}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER neuromem STRATEGY FILE_COPY")
        return name

    async def drop(self, name: str) -> None:
        await self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Server]:
    """One server for all workers of a run; the last one out stops it."""
    base = tmp_path_factory.getbasetemp()
    home: Path = (base if worker_id == "master" else base.parent) / "postgres"
    postgres = EmbeddedPostgres(home, settings={"fsync": "off", "max_connections": "200"})
    with FileLock(str(home) + ".lock"):
        asyncio.run(postgres.open())
        asyncio.run(_make_template(Server(postgres)))
    yield Server(postgres)
    asyncio.run(postgres.close())


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One S3 server for all tests of a process; each makes a bucket of its own."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


async def _make_template(server: Server) -> None:
    """Make a database with a migrated schema, once, for others to be copied from."""
    connection = await asyncpg.connect(server.superuser_dsn())
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", TEMPLATE):
            return
        await connection.execute(f"CREATE DATABASE {TEMPLATE} OWNER neuromem")
    finally:
        await connection.close()
    database = Database(parse_dsn(server.postgres.url(TEMPLATE)))
    await prepare_schema(database, migrate=True)
    await database.close()


@pytest.fixture
async def empty_url(server: Server) -> AsyncIterator[str]:
    """The URL of an empty database (pgvector is there, no schema of ours)."""
    name = await server.create()
    yield server.postgres.url(name)
    await server.drop(name)


@pytest.fixture
async def database_url(server: Server) -> AsyncIterator[str]:
    """The URL of a database whose schema ``neuromem`` is migrated and empty."""
    name = await server.create(TEMPLATE)
    yield server.postgres.url(name)
    await server.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The store's own pool on a migrated database."""
    database = Database(parse_dsn(database_url), pool_size=4)
    yield database
    await database.close()


@asynccontextmanager
async def opened(address: str, **arguments: Any) -> AsyncIterator[NeuroMemory]:
    """A NeuroMemory with the hashing embedding unless told otherwise, without the machine's plugins' defaults.

    Without an LLM nothing is extracted, though the local plugin's rules would be there. Digests are asked for by the
    tests that want them: the model of another test has no answer.
    """
    arguments.setdefault("reflection_interval", 0)
    arguments.setdefault("embedding", HashEmbedding())
    arguments.setdefault("llm", "none")
    arguments.setdefault("auto_extract", arguments["llm"] != "none" or "plugins" in arguments)
    async with NeuroMemory(address, **arguments) as memory:
        yield memory


@pytest.fixture
async def nm(database_url: str) -> AsyncIterator[NeuroMemory]:
    """An open NeuroMemory on a database of its own."""
    async with opened(database_url) as memory:
        yield memory
