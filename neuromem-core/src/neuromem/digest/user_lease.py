"""The lease of a user's digest: one process digests for a user at a time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from neuromem.errors import DatabaseError
from neuromem.jobs.heartbeat import heartbeat
from neuromem.store.memories.digest_queue import new_digest_lease, release_digest_lease, take_digest_lease

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem.config import WorkSettings
    from neuromem.store.database.database import Database
    from neuromem.store.queue.lease import Lease
    from neuromem.store.queue.worker_liveness import WorkerLiveness

logger = logging.getLogger("neuromem")


@asynccontextmanager
async def user_lease(
    database: Database, settings: WorkSettings, liveness: WorkerLiveness, user_id: str
) -> AsyncIterator[Lease | None]:
    """Hold the right to digest for a user while the block runs; waits while another process holds it.

    The value is the lease, which the transactions that store results renew (`renew_lease`); None when nothing is left
    to digest.
    """
    lease, owner = new_digest_lease(user_id), await liveness.owner()
    while True:
        taken = await take_digest_lease(database, lease, settings.lease, owner)
        if taken != "busy":
            break
        await asyncio.sleep(settings.poll)
    if taken == "nothing":
        yield None
        return
    with heartbeat(database, lease, settings.lease):
        try:
            yield lease
        finally:
            await asyncio.shield(_release(database, lease))


async def _release(database: Database, lease: Lease) -> None:
    try:
        await release_digest_lease(database, lease)
    except DatabaseError:
        logger.warning("A digest could not be given back; its lease will run out.", exc_info=True)
