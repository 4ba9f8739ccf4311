"""Fills a new embedding space beside the active one, and switches to it when it is full."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from neuromem.errors import DatabaseUnavailableError
from neuromem.ingest.embedding import Embedder
from neuromem.store import approximate, index, jobs, spaces, vectors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from neuromem.config import WorkSettings
    from neuromem.observe import Observers
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.engine import Database
    from neuromem.store.jobs import Claim

logger = logging.getLogger("neuromem")


class Workforce(Protocol):
    """A worker, as far as this needs one."""

    def start(self) -> None:
        """Start serving."""
        ...

    async def stop(self) -> None:
        """Stop serving; what is being served goes back to the queue."""
        ...


class Refill:
    """Serves the ``reembed`` jobs: embeds the next entries of a user that have no vector in the new space."""

    def __init__(self, database: Database, embedder: Embedder, space: vectors.Space, batch: int) -> None:
        self._database = database
        self._embedder = embedder
        self._space = space
        self._batch = batch

    async def __call__(self, claim: Claim) -> Mapping[int, Exception]:
        """Embed one batch; its vectors and where the next one begins commit together."""
        span, user_id = claim.jobs[0].payload, claim.user_id
        async with self._database.user(user_id) as transaction:
            entries = await spaces.missing(
                transaction, user_id, self._space, span["next"], span["last"], self._batch
            )
        found, refused = await self._embedder.embedded(user_id, entries)
        async with self._database.user(user_id) as transaction:
            await index.lock(transaction, user_id)
            if not await jobs.held(transaction, claim):
                return {}
            await spaces.apart(transaction, user_id, self._space, list(refused))
            if len(entries) < self._batch:
                await jobs.done(transaction, claim)
            else:
                await spaces.again(transaction, claim, {"next": entries[-1] + 1, "last": span["last"]})
            await vectors.insert(transaction, user_id, self._space, found)
        return {}


class Reembedder:
    """Changes the model of a schema while it is in use.

    ``employ`` makes a worker of handlers, ``switched`` is told the space, its provider and its embedder when the
    change is done. One change at a time.
    """

    def __init__(
        self, database: Database, observers: Observers, settings: WorkSettings, *,
        employ: Callable[[Mapping[str, Any]], Workforce], exact_limit: int,
        switched: Callable[[vectors.Space, EmbeddingProvider, Embedder], None] = lambda *_: None,
    ) -> None:  # fmt: skip
        self._database = database
        self._observers = observers
        self._settings = settings
        self._employ = employ
        self._switched = switched
        self._exact_limit = exact_limit
        self._running: asyncio.Task[None] | None = None
        self._space: vectors.Space | None = None
        self._providers: list[EmbeddingProvider] = []

    async def start(self, provider: EmbeddingProvider) -> None:
        """Begin, or go on where another process was interrupted; does nothing when the model is the active one.

        Raises `EmbeddingSpaceError` when another space is being filled.
        """
        self._providers.append(provider)
        known = await spaces.announce(self._database, provider)
        if self._running is not None and not self._running.done():
            return
        self._space = known.space
        embedder = Embedder(
            self._database, provider, known.space, self._observers, exact_limit=self._exact_limit
        )
        if known.state == "active":
            self._switched(known.space, provider, embedder)
            return
        self._running = asyncio.create_task(
            self._run(known, provider, embedder), name=f"neuromem-reembed-{known.space.space}"
        )
        self._running.add_done_callback(_tell)

    async def wait(self) -> None:
        """Wait until the change is done; raises what ended it otherwise."""
        if self._running is not None:
            await asyncio.shield(self._running)

    async def progress(self) -> dict[str, Any] | None:
        """Return how far it is, of this or of any process; None when no space is being filled."""
        for known in await spaces.known(self._database):
            if known.state in ("announced", "filling") or (
                self._space is not None and known.space.space == self._space.space
            ):
                found = await spaces.progress(self._database, known.space)
                return {
                    "space": known.space.space, "model": str(known.space), "state": known.state,
                    "entries": found.entries, "done": found.entries - min(found.entries, found.entries_left),
                    "users": found.users, "users_left": found.users_left, "failed": found.failed,
                    "error": found.error,
                }  # fmt: skip
        return None

    async def drop(self, number: int) -> dict[str, Any]:
        """Delete a space that is not active, with its vectors; one that is being filled is given up."""
        space = await spaces.withdraw(self._database, number)
        if self._space is not None and self._space.space == number:
            await self._stop()
            self._space = None
        await self._all_know()
        return {"dropped": str(space), "vectors": await spaces.drop(self._database, space)}

    async def close(self) -> None:
        """Stop; what is not done goes on with the next `start`."""
        await self._stop()
        for provider in self._providers:
            await provider.close()

    async def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self, known: spaces.Known, provider: EmbeddingProvider, embedder: Embedder) -> None:
        space, batch = known.space, self._settings.embed_batch
        worker = self._employ(
            {
                space.needs: embedder,
                spaces.fills(space): Refill(self._database, embedder, space, batch),
            }
        )
        worker.start()
        try:
            if known.state == "announced":
                await self._all_know()
                await spaces.enqueue(self._database, space)
            await self._until(lambda: spaces.switch(self._database, space))
            self._switched(space, provider, embedder)  # at once: who asks now is answered by it
        finally:
            await worker.stop()
        await approximate.ask(self._database, self._exact_limit)
        logger.info("Schema %r is searched by %s now.", self._database.schema, space)

    async def _all_know(self) -> None:
        """Wait until nobody writes who began before the last change of the spaces."""
        mark = await spaces.latest(self._database)
        await self._until(lambda: spaces.passed(self._database, mark))

    async def _until(self, so: Callable[[], Awaitable[bool]]) -> None:
        """Ask the database until it says so; other processes decide it too."""
        while True:
            try:
                if await so():
                    return
            except DatabaseUnavailableError:
                logger.warning("How far re-embedding is cannot be told yet.", exc_info=True)
            await asyncio.sleep(self._settings.poll)


def _tell(task: asyncio.Task[None]) -> None:
    """Log what ended a change that nobody may be waiting for."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("Re-embedding ended; reembed() goes on with it.", exc_info=error)
