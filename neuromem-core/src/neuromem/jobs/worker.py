"""The worker: claims jobs, has them done by their handlers, and puts back what failed."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from neuromem.errors import DatabaseError, ProviderError
from neuromem.jobs.backoff import CapabilityPauses, is_outage, retry_delay
from neuromem.jobs.heartbeat import heartbeat
from neuromem.store.queue.backlog import count_backlog, has_waiting_jobs
from neuromem.store.queue.claim import claim_jobs
from neuromem.store.queue.job_kinds import JOB_KINDS
from neuromem.store.queue.jobs import fail_jobs, release_jobs
from neuromem.store.queue.worker_liveness import WorkerLiveness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from neuromem.config import WorkSettings
    from neuromem.jobs.handlers import JobHandler
    from neuromem.store.database.database import Database
    from neuromem.store.queue.jobs import Claim

logger = logging.getLogger("neuromem")

ORPHAN_CHECKS_PER_LEASE = 12


class Worker:
    """Runs loops that claim jobs and have them done.

    Args:
        database: Where the queue is.
        settings: How many loops there are, how long leases last, and when failed jobs are tried again.
        handlers: One for each capability of this worker.
        liveness: Shared with others of the process that hold leases; it is closed when the worker stops. None: the
            worker makes its own.
    """

    def __init__(
        self,
        database: Database,
        settings: WorkSettings,
        handlers: Iterable[JobHandler],
        liveness: WorkerLiveness | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._handlers = {handler.capability: handler for handler in handlers}
        self._batch_sizes = {kind.name: kind.batch_size(settings) for kind in JOB_KINDS}
        self._tasks: list[asyncio.Task[None]] = []
        self._pauses = CapabilityPauses(settings.retry_delay)
        self._liveness = liveness or WorkerLiveness(database)
        self._next_orphan_check = 0.0
        self._work = asyncio.Event()
        self._progress = asyncio.Event()

    @property
    def handlers(self) -> Mapping[str, JobHandler]:
        """The handlers by the capability that their jobs need."""
        return self._handlers

    @property
    def capabilities(self) -> list[str]:
        """What jobs may need for this worker to do them."""
        return list(self._handlers)

    def add_handler(self, handler: JobHandler) -> None:
        """Do the jobs of a further capability from now on."""
        self._handlers[handler.capability] = handler

    @property
    def running(self) -> bool:
        """Whether this process does jobs itself."""
        return bool(self._tasks)

    def start(self) -> None:
        """Start the loops."""
        self._tasks = [
            asyncio.create_task(self._loop(), name=f"neuromem-worker-{i}")
            for i in range(self._settings.concurrency)
        ]

    def wake(self) -> None:
        """Claim now, as there may be new jobs."""
        self._work.set()

    async def stop(self) -> None:
        """Stop the loops; the jobs that are being done go back to the queue."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._liveness.close()

    async def drain(self, user_id: str | None = None, timeout: float | None = None) -> int:
        """Wait until no job is left that this worker could do now.

        Args:
            user_id: Wait for the jobs of this user only.
            timeout: Seconds to wait at most; None: as long as it takes.

        Returns:
            How many jobs were left when the time ran out. Jobs that are dead, need a capability that this worker does
            not have, or wait on purpose are not counted.
        """
        self.wake()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    progress = self._progress  # taken before the query: what ends in between sets it
                    if not await has_waiting_jobs(self._database, self.capabilities, user_id):
                        return 0
                    await _wait(progress, self._settings.poll)  # another process may do it
        except TimeoutError:
            return (await count_backlog(self._database, self.capabilities, user_id)).servable

    async def _loop(self) -> None:
        after = ""
        while True:
            self._work.clear()
            claim = await self._claim(after)
            if claim is None:
                if not await self._expire_orphans():
                    await _wait(self._work, self._settings.poll)
            elif claim.jobs:
                after = claim.user_id
                await self._do(claim)
                progress, self._progress = self._progress, asyncio.Event()
                progress.set()

    async def _claim(self, after: str) -> Claim | None:
        """Claim jobs; a claim that succeeds while this worker is being stopped is given back."""
        capabilities = self._pauses.not_paused(self.capabilities)
        if not capabilities:
            return None
        owner = await self._liveness.owner()
        claiming = asyncio.create_task(
            claim_jobs(
                self._database,
                capabilities,
                after=after,
                most=self._batch_sizes,
                seconds=self._settings.lease,
                owner=owner,
            )
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.wait([claiming])
            if not claiming.cancelled() and claiming.exception() is None and (claim := claiming.result()):
                await self._release(claim)
            raise
        except Exception:
            logger.exception("The queue cannot be read; trying again in %s s.", self._settings.poll)
            return None

    async def _expire_orphans(self) -> bool:
        """Take, now and then, the jobs from workers that are gone; returns whether there were any."""
        now = time.monotonic()
        if now < self._next_orphan_check:
            return False
        self._next_orphan_check = now + self._settings.lease / ORPHAN_CHECKS_PER_LEASE
        try:
            return await self._liveness.expire_orphans() > 0
        except DatabaseError:
            return False

    async def _do(self, claim: Claim) -> None:
        """Have a claim done by its handler while its lease is renewed, and put back what failed."""
        with heartbeat(self._database, claim.lease, self._settings.lease):
            try:
                failed = await self._handlers[claim.capability].handle(claim)
            except asyncio.CancelledError:
                await asyncio.shield(self._release(claim))
                raise
            except Exception as error:  # noqa: BLE001  whatever it is, the jobs go back with the reason
                self._pauses.claim_failed(claim.capability, error)
                await self._put_back(claim, error, alone=len(claim.jobs) == 1)
            else:
                if len(failed) < len(claim.jobs):
                    self._pauses.claim_succeeded(claim.capability)
                else:
                    self._pauses.claim_failed(claim.capability, *failed.values())
                for job, reason in failed.items():
                    await self._put_back(claim.only({job}), reason, alone=True)

    async def _release(self, claim: Claim) -> None:
        try:
            await release_jobs(self._database, claim)
        except DatabaseError:
            logger.warning("Jobs could not be given back; their lease will run out.", exc_info=True)

    async def _put_back(self, claim: Claim, error: Exception, *, alone: bool) -> None:
        """Put failed jobs back for another try; a job that failed ``alone`` and too often is dead.

        While the database cannot be reached there is nothing else to do, so this is repeated until it can.
        """
        dead = alone and not is_outage(error) and claim.attempts >= self._settings.max_attempts
        wait = retry_delay(self._settings.retry_delay, claim.attempts, error)
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


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
