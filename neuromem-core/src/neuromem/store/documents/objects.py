"""The bookkeeping of objects, which hold the bytes of documents in a storage outside of the database.

The rule that this module decides: before an object is stored or deleted, a job to delete it is announced, leased to the
caller. The transaction that gives the object to a document acknowledges the job. When that never happens,
the lease runs out and a worker deletes the object, so no object is left without a document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.store.database.users import lock_user
from neuromem.store.queue.job_kinds import OBJECT
from neuromem.store.queue.jobs import Claim, acknowledge_jobs, add_held_job, lock_held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.store.database.database import Database, Transaction

SELECT_OBJECTS = """
    SELECT document_id::text AS id, object_key AS key, storage FROM {s}.documents
    WHERE user_id = :user AND object_key IS NOT NULL ORDER BY created_at, document_id
"""

DOCUMENTS_WITHOUT_OBJECT = """
    SELECT document_id::text AS id, content_type FROM {s}.documents
    WHERE user_id = :user AND document_id = ANY(CAST(:ids AS uuid[])) AND object_key IS NULL AND superseded_at IS NULL
    ORDER BY created_at, document_id
"""

ATTACH_OBJECT = """
    UPDATE {s}.documents SET object_key = :key, storage = :storage
    WHERE user_id = :user AND document_id = CAST(:id AS uuid) AND object_key IS NULL AND superseded_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Where the bytes of a document are.

    Attributes:
        id: The id of the document.
        key: The key of the object.
        storage: The name of the storage that has it.
    """

    id: str
    key: str
    storage: str


async def announce_object(
    database: Database, user_id: str, capability: str, key: str, seconds: float
) -> Claim:
    """Enqueue the deletion of an object that may be stored, leased to the caller.

    Unless the claim is acknowledged or renewed in that time, a worker deletes the object.

    Args:
        database: The database to write to.
        user_id: Whose object.
        capability: What a worker must have to delete it: the name of the storage.
        key: The key of the object.
        seconds: How long the claim lasts.
    """
    async with database.user(user_id) as transaction:
        return await add_held_job(transaction, user_id, OBJECT, capability, {"key": key}, seconds)


async def stored_objects(transaction: Transaction, user_id: str) -> list[StoredObject]:
    """Return the objects of a user's documents, the oldest document first."""
    rows = await transaction.all(SELECT_OBJECTS, {"user": user_id})
    return [StoredObject(row.id, row.key, row.storage) for row in rows]


async def documents_without_object(database: Database, user_id: str, ids: Sequence[str]) -> dict[str, str]:
    """Return by id the MIME types of those of the documents that have no object."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(DOCUMENTS_WITHOUT_OBJECT, {"user": user_id, "ids": list(ids)})
    return {row.id: row.content_type for row in rows}


async def attach_object(database: Database, user_id: str, document_id: str, claim: Claim) -> bool:
    """Give a document the object of a claim, and acknowledge the claim.

    Returns:
        False when the document has an object already, is deleted, or the claim has run out.
    """
    async with database.user(user_id) as transaction:
        await lock_user(transaction, user_id)
        if not await lock_held(transaction, claim):
            return False
        given = {"key": claim.jobs[0].payload["key"], "storage": claim.capability}
        if not await transaction.run(ATTACH_OBJECT, {"user": user_id, "id": document_id, **given}):
            return False
        await acknowledge_jobs(transaction, claim)
    return True
