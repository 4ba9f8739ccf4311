"""Administration of a schema: migrate it and inspect its state, without opening a NeuroMemory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from neuromem.ingest.embedding.space_migration import SpaceMigration
from neuromem.jobs.worker import Worker
from neuromem.observe import Observers
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.schema.migrate import migration_plan, prepare_schema
from neuromem.store.search_index.embedding_spaces import list_spaces
from neuromem.store.user_data.diagnostics import (
    inspect_isolation,
    inspect_queue,
    inspect_server,
    inspect_space,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from neuromem.config import Settings
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.registry import PluginRegistry
    from neuromem.store.schema.migrate import MigrationPlan
    from neuromem.store.search_index.vectors import EmbeddingSpace
    from neuromem.store.user_data.diagnostics import IsolationReport, QueueReport, ServerReport


POOL_SIZE = 4  # connections


class Admin:
    """A schema and its state; needs no embedding model and no LLM. `open_admin` makes one."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    @property
    def place(self) -> str:
        """Host, port, database and schema, without credentials."""
        return f"{self._database.target.label}, schema {self._database.schema}"

    async def plan(self) -> MigrationPlan:
        """Return the schema's revision and the migrations that are still to be run."""
        return await migration_plan(self._database)

    async def migrate(self) -> MigrationPlan:
        """Bring the schema up to date and return the plan that was carried out."""
        plan = await self.plan()
        await prepare_schema(self._database, migrate=True)
        return plan

    async def server(self) -> ServerReport:
        """Return the server's version and settings, and the role of the connection."""
        return await inspect_server(self._database)

    async def space(self) -> EmbeddingSpace | None:
        """Return the embedding space that the schema was filled with."""
        return await inspect_space(self._database)

    async def spaces(self) -> list[dict[str, Any]]:
        """Return all embedding spaces; see `NeuroMemory.spaces`."""
        return [one.shown for one in await list_spaces(self._database)]

    async def reembed(self, embedding: EmbeddingProvider) -> AsyncGenerator[dict[str, Any], None]:
        """Change the embedding model, as `NeuroMemory.reembed` does, and yield the progress until it is done.

        The old model is not needed. Interrupted, it goes on when it is called again.

        Args:
            embedding: The new model; it is closed at the end.

        Raises:
            EmbeddingSpaceError: Another space is being filled.
            ProviderError: The model failed.
        """
        await prepare_schema(self._database, migrate=True)
        migration = self._space_migration()
        try:
            await migration.start(embedding)
            done = asyncio.ensure_future(migration.wait())
            while not done.done():
                if (progress := await migration.progress()) is not None:
                    yield progress
                await asyncio.wait([done], timeout=max(1.0, self._settings.work.poll))
            await done
            if (progress := await migration.progress()) is not None:
                yield progress
        finally:
            await migration.close()

    async def drop_space(self, number: int) -> dict[str, Any]:
        """Delete a space that is not active; see `NeuroMemory.drop_space`."""
        return await self._space_migration().drop(number)

    def _space_migration(self) -> SpaceMigration:
        work = self._settings.work
        return SpaceMigration(
            self._database,
            Observers(),
            work,
            make_worker=lambda handlers: Worker(self._database, work, handlers),
            exact_limit=self._settings.vectors.exact_limit,
        )

    async def isolation(self) -> IsolationReport:
        """Check by trying whether row level security isolates users; changes nothing."""
        return await inspect_isolation(self._database)

    async def queue(self) -> list[QueueReport]:
        """Return the state of the background jobs, by kind."""
        return await inspect_queue(self._database)


@asynccontextmanager
async def open_admin(
    registry: PluginRegistry,
    settings: Settings,
    *,
    database_url: str | None = None,
    schema: str = "neuromem",
    pooler: Literal["transaction"] | None = None,
) -> AsyncIterator[Admin]:
    """Connect to the database that a `NeuroMemory` with the same arguments would use.

    Raises:
        ConfigurationError: There is no database to connect to, or an argument cannot be used.
        DatabaseUnavailableError: PostgreSQL cannot be reached.
    """
    address = database_url or settings.database_url
    provider = None if address else registry.choose_database().value
    try:
        if provider is not None:
            address = await provider.open()
        database = Database(parse_dsn(address or ""), schema=schema, pool_size=POOL_SIZE, pooler=pooler)
        try:
            yield Admin(database, settings)
        finally:
            await database.close()
    finally:
        if provider is not None:
            await provider.close()
