"""Waiting for background jobs, and trying failed ones again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain import validation
from neuromem.store.conversations.extraction_queue import release_waiting_extractions
from neuromem.store.queue.job_kinds import EXTRACT
from neuromem.store.queue.jobs import retry_jobs

if TYPE_CHECKING:
    from neuromem.jobs.worker import Worker
    from neuromem.store.database.database import Database

MAX_RETRIES = 1_000


class BackgroundWork:
    """Waits for the jobs that this process can do, and retries those that failed."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker

    async def drain(self, user_id: str | None = None, timeout: float | None = None) -> int:
        """Wait for background work, of one user or of all; returns how many jobs were left when time ran out.

        Extraction that waits for more messages is started now. A job that was given up, and one that a user's budget
        of tokens postpones, is not waited for.

        Args:
            user_id: The user; None: all.
            timeout: Seconds to wait at most; None: until nothing is left.

        Returns:
            0, or how many jobs were left.

        Raises:
            InputError: ``user_id`` cannot be used.
        """
        if user_id is not None:
            validation.user_id(user_id)
        await release_waiting_extractions(self._database, user_id)
        return await self._worker.drain(user_id, timeout)

    async def retry_failed_extractions(self, user_id: str | None = None, max_retries: int = 3) -> int:
        """Try again at once what failed or was given up, of one user or of all; returns how many messages.

        Args:
            user_id: The user; None: all.
            max_retries: A message that was brought back that often already is left alone, 1 to 1,000.

        Returns:
            How many messages are extracted again.

        Raises:
            InputError: An argument cannot be used.
        """
        return (await self.retry_failed_jobs(user_id, EXTRACT.name, max_retries)).get(EXTRACT.name, 0)

    async def retry_failed_jobs(
        self, user_id: str | None = None, kind: str | None = None, max_retries: int = 3
    ) -> dict[str, int]:
        """Try again at once what failed or was given up, of any kind or of one; returns how many jobs by kind.

        Args:
            user_id: The user; None: all.
            kind: A kind of `stats` and of ``neuromem jobs list``, such as "embed" and "extract"; None: all.
            max_retries: A job that was brought back that often already is left alone, 1 to 1,000.

        Returns:
            How many jobs are tried again, by kind.

        Raises:
            InputError: An argument cannot be used.
        """
        if user_id is not None:
            validation.user_id(user_id)
        if kind is not None:
            validation.identifier("kind", kind)
        validation.count("max_retries", max_retries, most=MAX_RETRIES)
        retried = await retry_jobs(self._database, user_id, kind, max_retries)
        self._worker.wake()
        return retried
