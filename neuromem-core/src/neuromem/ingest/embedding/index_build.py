"""The handler of the ``index`` jobs: a user of very many vectors gets an HNSW index of their own."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from neuromem.errors import DatabaseError
from neuromem.store.queue.job_kinds import INDEX
from neuromem.store.queue.jobs import Claim, acknowledge_jobs, postpone_jobs
from neuromem.store.search_index.hnsw import (
    build_index,
    count_indexes,
    drop_index,
    drop_orphaned_indexes,
    enqueue_index_builds,
    has_more_vectors_than,
    index_state,
)
from neuromem.store.search_index.vectors import active_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.config import VectorSettings
    from neuromem.store.database.database import Database
    from neuromem.store.search_index.vectors import EmbeddingSpace

logger = logging.getLogger("neuromem")

RECHECK_AFTER = timedelta(seconds=10)  # for an index that PostgreSQL is still building for another process


class IndexHandler:
    """Builds the index of a user, if the user needs one and has none."""

    capability = INDEX.capability

    def __init__(self, database: Database, settings: VectorSettings) -> None:
        self._database = database
        self._settings = settings

    async def enqueue_missing(self) -> None:
        """Enqueue the building of the indexes that are missing, and drop those of users who are gone."""
        try:
            await drop_orphaned_indexes(self._database)
        except DatabaseError:
            logger.warning("Indexes of users who are gone could not be dropped.", exc_info=True)
        await enqueue_index_builds(self._database, self._settings.exact_limit)

    async def handle(self, claim: Claim) -> Mapping[int, Exception]:
        """Build the index; one whose building was cut off is dropped and built again."""
        user_id, space = claim.user_id, await active_space(self._database)
        state = await index_state(self._database, space.space, user_id)
        if state == "building":  # by PostgreSQL, for a process that is gone
            later = datetime.now(UTC) + RECHECK_AFTER
            await postpone_jobs(self._database, claim, "It is being built.", later)
            return {}
        if state != "ready" and await self._needs_index(user_id, space):
            if state == "invalid":
                await drop_index(self._database, space.space, user_id)
            await build_index(self._database, space, user_id)
            await drop_orphaned_indexes(self._database)  # the user may have been deleted meanwhile
        async with self._database.user(user_id) as transaction:
            await acknowledge_jobs(transaction, claim)
        return {}

    async def _needs_index(self, user_id: str, space: EmbeddingSpace) -> bool:
        limit = self._settings.exact_limit
        if not await has_more_vectors_than(self._database, user_id, space, limit):
            return False
        if await count_indexes(self._database) < self._settings.max_indexes:
            return True
        logger.warning(
            "User %r has more than %d vectors and gets no index of their own, since there are %d already: recall "
            "looks at all of them. Raise settings.vectors.max_indexes.",
            user_id,
            limit,
            self._settings.max_indexes,
        )
        return False
