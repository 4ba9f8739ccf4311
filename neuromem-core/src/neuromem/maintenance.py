"""What an administrator does with a schema: migrate it and look at its state, without opening a memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from neuromem.ingest.reembedding import Reembedder
from neuromem.observe import Observers
from neuromem.store import diagnose, schema, spaces, url
from neuromem.store.engine import Database
from neuromem.work.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from neuromem.config import Settings
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.registry import PluginRegistry
    from neuromem.store.diagnose import Isolation, Queue, Server
    from neuromem.store.schema import Plan
    from neuromem.store.vectors import Space


POOL = 4  # connections


class Maintenance:
    """A schema seen from outside; needs no embedding and no LLM. Make one with `open_maintenance`."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    @property
    def place(self) -> str:
        """Host, port, database and schema, as they may be shown."""
        return f"{self._database.target.label}, schema {self._database.schema}"

    async def plan(self) -> Plan:
        """Return the schema's revision and the migrations that are still to come."""
        return await schema.plan(self._database)

    async def migrate(self) -> Plan:
        """Bring the schema up to date; returns what was to be done."""
        plan = await self.plan()
        await schema.prepare(self._database, migrate=True)
        return plan

    async def server(self) -> Server:
        """Return what kind of server this is, and as whom we are connected."""
        return await diagnose.server(self._database)

    async def space(self) -> Space | None:
        """Return the embedding space that the schema was filled with."""
        return await diagnose.space(self._database)

    async def spaces(self) -> list[dict[str, Any]]:
        """Return all embedding spaces; see `NeuroMemory.spaces`."""
        return [one.shown for one in await spaces.known(self._database)]

    async def reembed(self, embedding: EmbeddingProvider) -> AsyncGenerator[dict[str, Any], None]:
        """Change the embedding model, as `NeuroMemory.reembed` does; gives how far it is, now and then.

        The old model is not needed. Interrupted, it goes on when it is called again.
        """
        await schema.prepare(self._database, migrate=True)
        reembedder = self._reembedder()
        try:
            await reembedder.start(embedding)
            done = asyncio.ensure_future(reembedder.wait())
            while not done.done():
                if (progress := await reembedder.progress()) is not None:
                    yield progress
                await asyncio.wait([done], timeout=max(1.0, self._settings.work.poll))
            await done
            if (progress := await reembedder.progress()) is not None:
                yield progress
        finally:
            await reembedder.close()

    async def drop_space(self, number: int) -> dict[str, Any]:
        """Delete a space that is not active; see `NeuroMemory.drop_space`."""
        return await self._reembedder().drop(number)

    def _reembedder(self) -> Reembedder:
        work = self._settings.work
        return Reembedder(
            self._database, Observers(), work, employ=lambda handlers: Worker(self._database, work, handlers),
            exact_limit=self._settings.vectors.exact_limit,
        )  # fmt: skip

    async def isolation(self) -> Isolation:
        """Find out, by trying, whether users are kept apart; changes nothing."""
        return await diagnose.isolation(self._database)

    async def queue(self) -> list[Queue]:
        """Return the state of the background work."""
        return await diagnose.queue(self._database)


@asynccontextmanager
async def open_maintenance(
    registry: PluginRegistry, settings: Settings, *, database_url: str | None = None,
    schema: str = "neuromem", pooler: Literal["transaction"] | None = None,
) -> AsyncIterator[Maintenance]:  # fmt: skip
    """Connect to the database that a `NeuroMemory` with the same arguments would use."""
    address = database_url or settings.database_url
    provider = None if address else registry.choose_database().value
    try:
        if provider is not None:
            address = await provider.open()
        database = Database(url.parse(address or ""), schema=schema, pool_size=POOL, pooler=pooler)
        try:
            yield Maintenance(database, settings)
        finally:
            await database.close()
    finally:
        if provider is not None:
            await provider.close()
