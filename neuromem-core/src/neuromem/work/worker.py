"""The worker: claims jobs, serves them, puts back what failed, and gives everything back when it stops."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Protocol

from neuromem.errors import DatabaseError, ProviderError, RateLimitError
from neuromem.store import jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.config import WorkSettings
    from neuromem.store.engine import Database

logger = logging.getLogger("neuromem")

MAX_DELAY = 300.0  # seconds between two tries, at most


class Handler(Protocol):
    """Serves the jobs of a claim; result and acknowledgement commit in one transaction."""

    async def __call__(self, claim: jobs.Claim) -> None:
        """Serve the claim."""
        ...


class Worker:
    """Runs ``settings.concurrency`` loops that serve jobs; ``handlers`` maps what jobs need to who serves them."""

    def __init__(self, database: Database, settings: WorkSettings, handlers: Mapping[str, Handler]) -> None:
        self._database = database
        self._settings = settings
        self._handlers = dict(handlers)
        self._tasks: list[asyncio.Task[None]] = []
        self._work = asyncio.Event()
        self._progress = asyncio.Condition()

    @property
    def serves(self) -> list[str]:
        """What jobs may need for this worker to serve them."""
        return list(self._handlers)

    @property
    def running(self) -> bool:
        """Whether this process serves jobs itself."""
        return bool(self._tasks)

    def start(self) -> None:
        """Start serving."""
        self._tasks = [
            asyncio.create_task(self._loop(), name=f"neuromem-worker-{i}")
            for i in range(self._settings.concurrency)
        ]

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._work.set()

    async def stop(self) -> None:
        """Stop serving; what is being served goes back to the queue."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def drain(self, user_id: str | None = None, timeout: float | None = None) -> int:
        """Wait until no job is left that is not dead; returns how many were left when time ran out.

        Jobs that no worker of this process can serve are not waited for.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    self.wake()
                    left = await jobs.backlog(self._database, self.serves, user_id)
                    if not left.servable:
                        return 0
                    await self._wait_for_progress()
        except TimeoutError:
            return (await jobs.backlog(self._database, self.serves, user_id)).servable

    async def _wait_for_progress(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll), self._progress:
                await self._progress.wait()
        except TimeoutError:
            return  # another process may have served it

    async def _loop(self) -> None:
        after = ""
        while True:
            self._work.clear()
            try:
                claim = await jobs.claim(
                    self._database, self.serves, after=after, most=self._settings.embed_batch,
                    seconds=self._settings.lease,
                )  # fmt: skip
            except DatabaseError:
                logger.exception("The queue cannot be read; trying again in %s s.", self._settings.poll)
                await asyncio.sleep(self._settings.poll)
                continue
            if claim is None:
                await self._idle()
            elif claim.jobs:
                after = claim.user_id
                await self._serve(claim)
                async with self._progress:
                    self._progress.notify_all()

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll):
                await self._work.wait()
        except TimeoutError:
            return

    async def _serve(self, claim: jobs.Claim) -> None:
        beat = asyncio.create_task(self._keep(claim))
        try:
            await self._handlers[claim.needs](claim)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(claim))
            raise
        except Exception as error:
            await self._put_back(claim, error)
        finally:
            beat.cancel()

    async def _keep(self, claim: jobs.Claim) -> None:
        """Renew the lease while the claim is served."""
        while True:
            await asyncio.sleep(self._settings.lease / 3)
            try:
                await jobs.extend(self._database, claim, self._settings.lease)
            except DatabaseError:
                logger.warning("The lease of %d jobs could not be renewed.", len(claim.jobs), exc_info=True)

    async def _give_back(self, claim: jobs.Claim) -> None:
        try:
            await jobs.release(self._database, claim)
        except DatabaseError:
            logger.warning("Jobs could not be given back; their lease will run out.", exc_info=True)

    async def _put_back(self, claim: jobs.Claim, error: Exception) -> None:
        attempts = max(job.attempts for job in claim.jobs)
        delay = min(MAX_DELAY, 2.0 ** (attempts - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
        if isinstance(error, RateLimitError) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
        level = logging.WARNING if isinstance(error, ProviderError | DatabaseError) else logging.ERROR
        logger.log(
            level, "%d %r jobs of user %r failed (attempt %d); next try in %.1f s.",
            len(claim.jobs), claim.kind, claim.user_id, attempts, delay, exc_info=error,
        )  # fmt: skip
        try:
            await jobs.fail(
                self._database, claim, f"{type(error).__name__}: {error}", delay=delay,
                most=self._settings.max_attempts,
            )  # fmt: skip
        except DatabaseError:
            logger.warning("Failed jobs could not be put back; their lease will run out.", exc_info=True)
