"""The handler of the ``digest`` jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.errors import BudgetError
from neuromem.store.queue.job_kinds import DIGEST
from neuromem.store.queue.jobs import Claim, acknowledge_jobs, postpone_jobs
from neuromem.store.queue.token_budget import next_budget_day

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.digest.service import DigestService
    from neuromem.store.database.database import Database

BATCH_SIZE = 50  # memories, for a job that does not say


class DigestHandler:
    """Digests for the user of a claim; a digest that was cut short goes on where it was."""

    capability = DIGEST.capability

    def __init__(self, database: Database, service: DigestService) -> None:
        self._database = database
        self._service = service

    async def handle(self, claim: Claim) -> Mapping[int, Exception]:
        """Digest all that is not digested; when the user's token budget is spent, the rest is postponed to tomorrow."""
        size = int(claim.jobs[0].payload.get("batch_size", BATCH_SIZE))
        try:
            await self._service.digest(claim.user_id, size)
        except BudgetError as error:
            await postpone_jobs(self._database, claim, f"BudgetError: {error}", next_budget_day())
        else:
            async with self._database.user(claim.user_id) as transaction:
                await acknowledge_jobs(transaction, claim)
        return {}
