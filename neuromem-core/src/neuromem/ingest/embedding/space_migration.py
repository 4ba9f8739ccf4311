"""Changes the embedding model: fills a new embedding space while the old one is in use, then switches to it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from neuromem.errors import DatabaseUnavailableError
from neuromem.ingest.embedding.handler import EmbeddingHandler
from neuromem.store.database.users import lock_user
from neuromem.store.queue.jobs import acknowledge_jobs, lock_held, requeue_remainder
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
    snapshot_mark,
    snapshot_passed,
)
from neuromem.store.search_index.hnsw import enqueue_index_builds
from neuromem.store.search_index.vectors import EmbeddingSpace, insert_vectors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from neuromem.config import WorkSettings
    from neuromem.jobs.handlers import JobHandler
    from neuromem.observe import Observers
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.database.database import Database
    from neuromem.store.queue.jobs import Claim

logger = logging.getLogger("neuromem")


class WorkerHandle(Protocol):
    """A worker that can be started and stopped."""

    def start(self) -> None:
        """Start doing jobs."""
        ...

    async def stop(self) -> None:
        """Stop; the jobs that are being done go back to the queue."""
        ...


class ReembeddingHandler:
    """Handler of the ``reembed`` jobs: embeds the next entries of a user that have no vector in the new space."""

    def __init__(
        self, database: Database, embedding: EmbeddingHandler, space: EmbeddingSpace, batch: int
    ) -> None:
        self._database = database
        self._embedding = embedding
        self._space = space
        self._batch = batch

    @property
    def capability(self) -> str:
        """What the jobs that fill the space need."""
        return fill_capability(self._space)

    async def handle(self, claim: Claim) -> Mapping[int, Exception]:
        """Embed one batch; its vectors and the job for the next batch commit together."""
        span, user_id = claim.jobs[0].payload, claim.user_id
        async with self._database.user(user_id) as transaction:
            entries = await entries_without_vector(
                transaction, user_id, self._space, span["next"], span["last"], self._batch
            )
        vectors, refused = await self._embedding.embed_entries(user_id, entries)
        async with self._database.user(user_id) as transaction:
            await lock_user(transaction, user_id)
            if not await lock_held(transaction, claim):
                return {}
            await enqueue_single_entries(transaction, user_id, self._space, list(refused))
            if len(entries) < self._batch:
                await acknowledge_jobs(transaction, claim)
            else:
                await requeue_remainder(transaction, claim, {"next": entries[-1] + 1, "last": span["last"]})
            await insert_vectors(transaction, user_id, self._space, vectors)
        return {}


class SpaceMigration:
    """Changes the embedding model of a schema while the schema is in use; one change at a time.

    Args:
        database: The schema.
        observers: Are told of the calls.
        settings: Of background work.
        make_worker: Makes a worker of handlers.
        exact_limit: Number of entries of a user beyond which the user gets an index.
        switched: Is called with the space, its provider and its handler when the change is done.
    """

    def __init__(
        self,
        database: Database,
        observers: Observers,
        settings: WorkSettings,
        *,
        make_worker: Callable[[Sequence[JobHandler]], WorkerHandle],
        exact_limit: int,
        switched: Callable[[EmbeddingSpace, EmbeddingProvider, EmbeddingHandler], None] = lambda *_: None,
    ) -> None:
        self._database = database
        self._observers = observers
        self._settings = settings
        self._make_worker = make_worker
        self._switched = switched
        self._exact_limit = exact_limit
        self._running: asyncio.Task[None] | None = None
        self._space: EmbeddingSpace | None = None
        self._providers: list[EmbeddingProvider] = []

    async def start(self, provider: EmbeddingProvider) -> None:
        """Begin, or go on where another process was interrupted; does nothing when the model is the active one.

        Raises:
            EmbeddingSpaceError: Another space is being filled.
        """
        self._providers.append(provider)
        known = await announce_space(self._database, provider)
        if self._running is not None and not self._running.done():
            return
        self._space = known.space
        embedding_handler = EmbeddingHandler(
            self._database, provider, known.space, self._observers, exact_limit=self._exact_limit
        )
        if known.state == "active":
            self._switched(known.space, provider, embedding_handler)
            return
        self._running = asyncio.create_task(
            self._run(known, provider, embedding_handler), name=f"neuromem-reembed-{known.space.space}"
        )
        self._running.add_done_callback(_log_failure)

    async def wait(self) -> None:
        """Wait until the change is done; raises the error that ended it otherwise."""
        if self._running is not None:
            await asyncio.shield(self._running)

    async def progress(self) -> dict[str, Any] | None:
        """Return how far the change is, whichever process began it; None when no space is being filled."""
        for known in await list_spaces(self._database):
            if known.state in ("announced", "filling") or (
                self._space is not None and known.space.space == self._space.space
            ):
                progress = await fill_progress(self._database, known.space)
                return {
                    "space": known.space.space,
                    "model": str(known.space),
                    "state": known.state,
                    "entries": progress.entries,
                    "done": progress.entries - min(progress.entries, progress.entries_left),
                    "users": progress.users,
                    "users_left": progress.users_left,
                    "failed": progress.failed,
                    "error": progress.error,
                }
        return None

    async def drop(self, number: int) -> dict[str, Any]:
        """Delete a space that is not active, with its vectors; if it is being filled, that ends."""
        space = await mark_dropping(self._database, number)
        if self._space is not None and self._space.space == number:
            await self._stop()
            self._space = None
        await self._wait_for_writers()
        return {"dropped": str(space), "vectors": await drop_space(self._database, space)}

    async def close(self) -> None:
        """Stop; the next `start` goes on from here."""
        await self._stop()
        for provider in self._providers:
            await provider.close()

    async def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(
        self, known: SpaceStatus, provider: EmbeddingProvider, embedding_handler: EmbeddingHandler
    ) -> None:
        space, batch = known.space, self._settings.embed_batch
        worker = self._make_worker(
            [embedding_handler, ReembeddingHandler(self._database, embedding_handler, space, batch)]
        )
        worker.start()
        try:
            if known.state == "announced":
                await self._wait_for_writers()
                await enqueue_fill(self._database, space)
            await self._until(lambda: activate_space(self._database, space))
            self._switched(space, provider, embedding_handler)  # at once: the questions from now on need it
        finally:
            await worker.stop()
        await enqueue_index_builds(self._database, self._exact_limit)
        logger.info("Schema %r is searched by %s now.", self._database.schema, space)

    async def _wait_for_writers(self) -> None:
        """Wait until all transactions have ended that began before the last change of the spaces."""
        mark = await snapshot_mark(self._database)
        await self._until(lambda: snapshot_passed(self._database, mark))

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until a condition in the database holds; other processes work on it too."""
        while True:
            try:
                if await condition():
                    return
            except DatabaseUnavailableError:
                logger.warning("How far re-embedding is cannot be seen yet.", exc_info=True)
            await asyncio.sleep(self._settings.poll)


def _log_failure(task: asyncio.Task[None]) -> None:
    """Log the error that ended a change, since perhaps nobody waits for it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("Re-embedding ended; reembed() goes on with it.", exc_info=error)
