"""Serves the ``digest`` jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from neuromem.errors import BudgetError
from neuromem.store.queue.jobs import Claim, acknowledge_jobs, postpone_jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.digest.service import DigestService
    from neuromem.store.database.database import Database

BATCH_SIZE = 50


class DigestHandler:
    """Digests for the user of a claim; a digest that was cut short goes on where it was."""

    def __init__(self, database: Database, service: DigestService) -> None:
        self._database = database
        self._service = service

    async def __call__(self, claim: Claim) -> Mapping[int, Exception]:
        """Digest all that is not digested; a budget that is spent puts the rest off until tomorrow."""
        size = int(claim.jobs[0].payload.get("batch_size", BATCH_SIZE))
        try:
            await self._service.digest(claim.user_id, size)
        except BudgetError as error:
            tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(
                days=1
            )
            await postpone_jobs(self._database, claim, f"BudgetError: {error}", tomorrow)
        else:
            async with self._database.user(claim.user_id) as transaction:
                await acknowledge_jobs(transaction, claim)
        return {}
