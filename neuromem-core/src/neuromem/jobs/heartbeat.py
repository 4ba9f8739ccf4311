"""The heartbeat: renews a lease while somebody works under it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from neuromem.errors import DatabaseError
from neuromem.store.queue.lease import renew_lease

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuromem.store.database.database import Database
    from neuromem.store.queue.lease import Lease

logger = logging.getLogger("neuromem")

BEATS_PER_LEASE = 3  # two renewals in a row may fail before the lease runs out


@contextmanager
def heartbeat(database: Database, lease: Lease, seconds: float) -> Iterator[None]:
    """Renew a lease for as long as the block runs.

    A renewal that fails is logged, and tried again a beat later. When the lease is lost (to another process, or because
    the user or the job is gone), the heartbeat ends and the work does not: the transaction that stores its result asks
    whether the lease is still held (`lock_held`, `acknowledge_jobs`, `renew_lease`), and stores nothing if it is not.

    Args:
        database: Where the lease is.
        lease: A lease that has been taken.
        seconds: How long the lease lasts after each renewal.
    """
    beat = asyncio.create_task(_renew_until_lost(database, lease, seconds))
    try:
        yield
    finally:
        beat.cancel()


async def _renew_until_lost(database: Database, lease: Lease, seconds: float) -> None:
    held = True
    while held:
        await asyncio.sleep(seconds / BEATS_PER_LEASE)
        try:
            async with database.user(lease.user_id) as transaction:
                held = await renew_lease(transaction, lease, seconds)
        except DatabaseError:
            logger.warning(
                "A lease of user %r in %s could not be renewed.",
                lease.user_id,
                lease.table.name,
                exc_info=True,
            )
