"""Objects in a storage: a job to delete an object is held until its document is stored, in case that never happens."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.errors import DatabaseError, NeuroMemError, StorageError
from neuromem.jobs.heartbeat import heartbeat
from neuromem.store.documents.objects import announce_object
from neuromem.store.queue.job_kinds import OBJECT
from neuromem.store.queue.jobs import Claim, acknowledge_jobs, release_jobs
from neuromem.store.user_data.delete import object_prefix

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping

    from neuromem.plugin.providers import ObjectStorage
    from neuromem.store.database.database import Database

logger = logging.getLogger("neuromem")


class Objects:
    """The objects of documents in one storage, and the handler of the ``object`` jobs, which delete them.

    Args:
        database: Where the jobs are.
        storage: Where the objects are.
        lease: Seconds for which a job is held without being renewed.
    """

    def __init__(self, database: Database, storage: ObjectStorage, lease: float) -> None:
        self._database = database
        self._storage = storage
        self._lease = lease

    @property
    def capability(self) -> str:
        """What the jobs that delete its objects need; documents name their storage by it."""
        return OBJECT.capability_for(self._storage.provider)

    @asynccontextmanager
    async def stored(
        self, user_id: str, data: bytes | AsyncIterable[bytes], content_type: str
    ) -> AsyncIterator[Claim]:
        """Upload an object and yield the claim of the job that would delete it.

        Whoever stores the document acknowledges the claim in the same transaction; otherwise the object is deleted.
        """
        claim = await announce_object(self._database, user_id, self.capability, _key(user_id), self._lease)
        with heartbeat(self._database, claim.lease, self._lease):
            try:
                await self._storage.upload(claim.jobs[0].payload["key"], data, content_type)
                yield claim
            except BaseException:
                # After a cancellation there is no time left to delete the object: a worker does it.
                await asyncio.shield(self._release(claim))
                raise

    async def remove(self, claim: Claim) -> None:
        """Delete the object of a claim; if that fails, a worker tries again until it is gone."""
        try:
            if claim.capability == self.capability:
                await self.handle(claim)
                return
        except NeuroMemError:
            logger.warning(
                "The object of a document of user %r is not deleted yet; it is tried again.",
                claim.user_id,
                exc_info=True,
            )
        except BaseException:
            await asyncio.shield(self._release(claim))
            raise
        await self._release(claim)

    async def discard(self, claim: Claim) -> None:
        """Have an object deleted whose claim was lost to a worker, which may have deleted before the upload ended."""
        key = claim.jobs[0].payload["key"]
        await self._release(
            await announce_object(self._database, claim.user_id, self.capability, key, self._lease)
        )

    async def handle(self, claim: Claim) -> Mapping[int, Exception]:
        """Delete the objects of a claim.

        Raises:
            StorageError: The storage raised an error, whatever it was: the job is tried for as long as it takes.
        """
        for job in claim.jobs:
            try:
                await self._storage.delete(job.payload["key"])
            except Exception as error:
                raise StorageError(
                    f"The object {job.payload['key']!r} of user {claim.user_id!r} cannot be deleted: {error}",
                    provider=self._storage.provider,
                ) from error
        async with self._database.user(claim.user_id) as transaction:
            await acknowledge_jobs(transaction, claim)
        return {}

    async def download(self, key: str) -> bytes:
        """Return the bytes of an object."""
        return await self._storage.download(key)

    async def url(self, key: str, expires_in: int) -> str:
        """Return a URL that fetches an object without credentials."""
        return await self._storage.presigned_url(key, expires_in)

    async def _release(self, claim: Claim) -> None:
        try:
            await release_jobs(self._database, claim)
        except DatabaseError:
            logger.warning("An object is not deleted before its lease runs out.", exc_info=True)


def _key(user_id: str) -> str:
    """Return a new key, which says nothing about the file; one user's keys begin alike."""
    return f"{object_prefix(user_id)}{uuid4().hex}"
