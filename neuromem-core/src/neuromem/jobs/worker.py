"""The worker: claims jobs, serves them, puts back what failed, and gives everything back when it stops."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol

from neuromem.errors import DatabaseError, ProviderError
from neuromem.jobs.backoff import Pauses, delay, outage
from neuromem.store.queue.jobs import (
    Claim,
    claim_jobs,
    count_backlog,
    extend_lease,
    fail_jobs,
    has_waiting_jobs,
    release_jobs,
)
from neuromem.store.queue.worker_liveness import WorkerLiveness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.config import WorkSettings
    from neuromem.store.database.database import Database

logger = logging.getLogger("neuromem")


class Handler(Protocol):
    """Serves the jobs of a claim; result and acknowledgement commit in one transaction."""

    async def __call__(self, claim: Claim) -> Mapping[int, Exception]:
        """Serve the claim; returns the jobs that failed by themselves, with the reason of each.

        An exception fails the whole claim.
        """
        ...


class Worker:
    """Runs loops that serve jobs; ``handlers`` maps what jobs need to who serves them.

    ``presence`` is shared with others of the process that hold leases; what it holds ends with the worker.
    """

    def __init__(
        self,
        database: Database,
        settings: WorkSettings,
        handlers: Mapping[str, Handler],
        presence: WorkerLiveness | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._handlers = dict(handlers)
        self._most = {"embed": settings.embed_batch, "extract": settings.extract_batch}
        self._tasks: list[asyncio.Task[None]] = []
        self._pauses = Pauses(settings.retry_delay)
        self._presence = presence or WorkerLiveness(database)
        self._next_look = 0.0
        self._work = asyncio.Event()
        self._progress = asyncio.Event()

    @property
    def capabilities(self) -> list[str]:
        """What jobs may need for this worker to serve them."""
        return list(self._handlers)

    def serve(self, capability: str, handler: Handler) -> None:
        """Serve further jobs from now on."""
        self._handlers[capability] = handler

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
        await self._presence.close()

    async def drain(self, user_id: str | None = None, timeout: float | None = None) -> int:
        """Wait until no job is left that is not dead; returns how many were left when time ran out.

        Jobs that no worker of this process can serve are not waited for.
        """
        self.wake()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    progress = self._progress  # taken before looking, so that nothing is missed in between
                    if not await has_waiting_jobs(self._database, self.capabilities, user_id):
                        return 0
                    await _set_within(self._settings.poll, progress)  # another process may serve it
        except TimeoutError:
            return (await count_backlog(self._database, self.capabilities, user_id)).servable

    async def _loop(self) -> None:
        after = ""
        while True:
            self._work.clear()
            claim = await self._claim(after)
            if claim is None:
                if not await self._orphans():
                    await _set_within(self._settings.poll, self._work)
            elif claim.jobs:
                after = claim.user_id
                await self._serve(claim)
                progress, self._progress = self._progress, asyncio.Event()
                progress.set()

    async def _claim(self, after: str) -> Claim | None:
        """Take work; what is taken while this worker is told to stop is given back."""
        capabilities = self._pauses.without(self.capabilities)
        if not capabilities:
            return None
        owner = await self._presence.owner()
        claiming = asyncio.create_task(
            claim_jobs(
                self._database,
                capabilities,
                after=after,
                most=self._most,
                seconds=self._settings.lease,
                owner=owner,
            )
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.wait([claiming])
            if not claiming.cancelled() and claiming.exception() is None and (claim := claiming.result()):
                await self._give_back(claim)
            raise
        except Exception:
            logger.exception("The queue cannot be read; trying again in %s s.", self._settings.poll)
            return None

    async def _orphans(self) -> bool:
        """Look now and then, the first time at once, whether workers that are gone left something behind."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + self._settings.lease / 12
        try:
            return await self._presence.take_over() > 0
        except DatabaseError:
            return False

    async def _serve(self, claim: Claim) -> None:
        beat = asyncio.create_task(self._keep(claim))
        try:
            failed = await self._handlers[claim.capability](claim)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(claim))
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the jobs go back and say why
            self._pauses.failed(claim.capability, error)
            await self._put_back(claim, error, alone=len(claim.jobs) == 1)
        else:
            if len(failed) < len(claim.jobs):
                self._pauses.succeeded(claim.capability)
            else:
                self._pauses.failed(claim.capability, *failed.values())
            for job, reason in failed.items():
                await self._put_back(claim.only({job}), reason, alone=True)
        finally:
            beat.cancel()

    async def _keep(self, claim: Claim) -> None:
        """Renew the lease while the claim is served."""
        while True:
            await asyncio.sleep(self._settings.lease / 3)
            try:
                await extend_lease(self._database, claim, self._settings.lease)
            except DatabaseError:
                logger.warning("The lease of %d jobs could not be renewed.", len(claim.jobs), exc_info=True)

    async def _give_back(self, claim: Claim) -> None:
        try:
            await release_jobs(self._database, claim)
        except DatabaseError:
            logger.warning("Jobs could not be given back; their lease will run out.", exc_info=True)

    async def _put_back(self, claim: Claim, error: Exception, *, alone: bool) -> None:
        """Put failed jobs back for another try; those that failed ``alone`` and too often are dead.

        While the database cannot be reached there is nothing else to do, so this goes on until it can.
        """
        dead = alone and not outage(error) and claim.attempts >= self._settings.max_attempts
        wait = delay(self._settings.retry_delay, claim.attempts, error)
        level = logging.WARNING if isinstance(error, ProviderError | DatabaseError) else logging.ERROR
        logger.log(
            level,
            "%d %r jobs of user %r failed (attempt %d); %s.",
            len(claim.jobs),
            claim.kind,
            claim.user_id,
            claim.attempts,
            "there will be no other" if dead else f"next try in {wait:.1f} s",
            exc_info=error,
        )
        while True:
            try:
                await fail_jobs(
                    self._database, claim, f"{type(error).__name__}: {error}", delay=wait, dead=dead
                )
            except DatabaseError:
                logger.warning("Failed jobs cannot be put back yet.", exc_info=True)
                await asyncio.sleep(self._settings.poll)
            else:
                return


async def _set_within(seconds: float, event: asyncio.Event) -> None:
    """Wait for the event, but not for long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
