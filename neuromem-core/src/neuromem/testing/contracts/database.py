"""The contract of database providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from neuromem.memory import NeuroMemory
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.user_data.diagnostics import inspect_server
from neuromem.testing.contracts.base import Contract, missing
from neuromem.testing.fakes import HashEmbedding

if TYPE_CHECKING:
    from neuromem.plugin.providers import DatabaseProvider
    from neuromem.store.user_data.diagnostics import ServerReport


class DatabaseContract(Contract):
    """Override the fixture ``provider``; a schema ``neuromem_kit`` is made in its database."""

    schema = "neuromem_kit"

    @pytest.fixture
    def provider(self) -> DatabaseProvider:
        """Return the provider, not yet opened."""
        missing("the fixture `provider`")

    @pytest.fixture
    def subject(self, provider: DatabaseProvider) -> Any:
        """Return what is tested."""
        return provider

    async def use(self, subject: Any) -> object:
        """Open it and look at the server."""
        return await self.look(subject)

    async def look(self, provider: DatabaseProvider) -> ServerReport:
        """Return what kind of server the URL leads to."""
        database = Database(parse_dsn(await provider.open()), pool_size=1)
        try:
            return await inspect_server(database)
        finally:
            await database.close()

    def test_the_server_is_one_that_neuromem_works_with(self, subject: DatabaseProvider) -> None:
        """New enough, with pgvector in the database or ready to be created."""
        server = self.run(subject, self.look)
        assert server.supported, server.version
        assert server.vector_supported or server.available, "there is no pgvector"

    def test_it_connects_as_an_ordinary_role(self, subject: DatabaseProvider) -> None:
        """Row level security does not bind superusers."""
        server = self.run(subject, self.look)
        assert not server.superuser
        assert not server.unbound

    def test_opening_twice_leads_to_the_same_place(self, subject: DatabaseProvider) -> None:
        """Several may open one provider."""

        async def twice(subject: DatabaseProvider) -> tuple[str, str]:
            return await subject.open(), await subject.open()

        first, second = self.run(subject, twice)
        assert first == second

    def test_what_is_remembered_is_there_after_it_was_closed(self, subject: DatabaseProvider) -> None:
        """A database that forgets is none."""

        async def remember(subject: DatabaseProvider) -> None:
            async with NeuroMemory(
                await subject.open(), HashEmbedding(), "none", schema=self.schema
            ) as memory:
                await memory.add_memory("kit", "The spare key is under the mat")

        async def recall(subject: DatabaseProvider) -> list[str]:
            async with NeuroMemory(
                await subject.open(), HashEmbedding(), "none", schema=self.schema
            ) as memory:
                result = await memory.recall("kit", "Where is the spare key?")
            return [item["content"] for item in result["merged"]]

        self.run(subject, remember)
        assert self.run(subject, recall) == ["The spare key is under the mat"]
