"""Fills a new embedding space beside the active one, and switches to it when it is full."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from neuromem.errors import DatabaseUnavailableError
from neuromem.ingest.embedding.handler import Embedder
from neuromem.store.database.users import lock_user
from neuromem.store.queue.jobs import acknowledge_jobs, lock_held
from neuromem.store.search_index.embedding_spaces import (
    SpaceStatus,
    activate_space,
    announce_space,
    drop_space,
    enqueue_fill,
    enqueue_single_entries,
    entries_without_vector,
    fill_capability,
    fill_progress,
    list_spaces,
    mark_dropping,
    requeue_remainder,
    snapshot_mark,
    snapshot_passed,
)
from neuromem.store.search_index.hnsw import enqueue_index_builds
from neuromem.store.search_index.vectors import EmbeddingSpace, insert_vectors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from neuromem.config import WorkSettings
    from neuromem.observe import Observers
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.database.database import Database
    from neuromem.store.queue.jobs import Claim

logger = logging.getLogger("neuromem")


class WorkerHandle(Protocol):
    """A worker, as far as this needs one."""

    def start(self) -> None:
        """Start serving."""
        ...

    async def stop(self) -> None:
        """Stop serving; what is being served goes back to the queue."""
        ...


class Refill:
    """Serves the ``reembed`` jobs: embeds the next entries of a user that have no vector in the new space."""

    def __init__(self, database: Database, embedder: Embedder, space: EmbeddingSpace, batch: int) -> None:
        self._database = database
        self._embedder = embedder
        self._space = space
        self._batch = batch

    async def __call__(self, claim: Claim) -> Mapping[int, Exception]:
        """Embed one batch; its vectors and where the next one begins commit together."""
        span, user_id = claim.jobs[0].payload, claim.user_id
        async with self._database.user(user_id) as transaction:
            entries = await entries_without_vector(
                transaction, user_id, self._space, span["next"], span["last"], self._batch
            )
        found, refused = await self._embedder.embedded(user_id, entries)
        async with self._database.user(user_id) as transaction:
            await lock_user(transaction, user_id)
            if not await lock_held(transaction, claim):
                return {}
            await enqueue_single_entries(transaction, user_id, self._space, list(refused))
            if len(entries) < self._batch:
                await acknowledge_jobs(transaction, claim)
            else:
                await requeue_remainder(transaction, claim, {"next": entries[-1] + 1, "last": span["last"]})
            await insert_vectors(transaction, user_id, self._space, found)
        return {}


class SpaceMigration:
    """Changes the model of a schema while it is in use.

    ``employ`` makes a worker of handlers, ``switched`` is told the space, its provider and its embedder when the
    change is done. One change at a time.
    """

    def __init__(
        self,
        database: Database,
        observers: Observers,
        settings: WorkSettings,
        *,
        employ: Callable[[Mapping[str, Any]], WorkerHandle],
        exact_limit: int,
        switched: Callable[[EmbeddingSpace, EmbeddingProvider, Embedder], None] = lambda *_: None,
    ) -> None:
        self._database = database
        self._observers = observers
        self._settings = settings
        self._employ = employ
        self._switched = switched
        self._exact_limit = exact_limit
        self._running: asyncio.Task[None] | None = None
        self._space: EmbeddingSpace | None = None
        self._providers: list[EmbeddingProvider] = []

    async def start(self, provider: EmbeddingProvider) -> None:
        """Begin, or go on where another process was interrupted; does nothing when the model is the active one.

        Raises `EmbeddingSpaceError` when another space is being filled.
        """
        self._providers.append(provider)
        known = await announce_space(self._database, provider)
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
        for known in await list_spaces(self._database):
            if known.state in ("announced", "filling") or (
                self._space is not None and known.space.space == self._space.space
            ):
                found = await fill_progress(self._database, known.space)
                return {
                    "space": known.space.space,
                    "model": str(known.space),
                    "state": known.state,
                    "entries": found.entries,
                    "done": found.entries - min(found.entries, found.entries_left),
                    "users": found.users,
                    "users_left": found.users_left,
                    "failed": found.failed,
                    "error": found.error,
                }
        return None

    async def drop(self, number: int) -> dict[str, Any]:
        """Delete a space that is not active, with its vectors; one that is being filled is given up."""
        space = await mark_dropping(self._database, number)
        if self._space is not None and self._space.space == number:
            await self._stop()
            self._space = None
        await self._all_know()
        return {"dropped": str(space), "vectors": await drop_space(self._database, space)}

    async def close(self) -> None:
        """Stop; what is not done goes on with the next `start`."""
        await self._stop()
        for provider in self._providers:
            await provider.close()

    async def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self, known: SpaceStatus, provider: EmbeddingProvider, embedder: Embedder) -> None:
        space, batch = known.space, self._settings.embed_batch
        worker = self._employ(
            {
                space.capability: embedder,
                fill_capability(space): Refill(self._database, embedder, space, batch),
            }
        )
        worker.start()
        try:
            if known.state == "announced":
                await self._all_know()
                await enqueue_fill(self._database, space)
            await self._until(lambda: activate_space(self._database, space))
            self._switched(space, provider, embedder)  # at once: who asks now is answered by it
        finally:
            await worker.stop()
        await enqueue_index_builds(self._database, self._exact_limit)
        logger.info("Schema %r is searched by %s now.", self._database.schema, space)

    async def _all_know(self) -> None:
        """Wait until nobody writes who began before the last change of the spaces."""
        mark = await snapshot_mark(self._database)
        await self._until(lambda: snapshot_passed(self._database, mark))

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
