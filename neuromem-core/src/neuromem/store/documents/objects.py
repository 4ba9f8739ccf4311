"""Which documents have an object, and which lack theirs: what moving a user's files needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.store.database.users import lock_user
from neuromem.store.queue.jobs import Claim, acknowledge_jobs, lock_held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.store.database.database import Database, Transaction

KEPT = """
    SELECT document_id::text AS id, object_key AS key, storage FROM {s}.documents
    WHERE user_id = :user AND object_key IS NOT NULL ORDER BY created_at, document_id
"""

LACKING = """
    SELECT document_id::text AS id, content_type FROM {s}.documents
    WHERE user_id = :user AND document_id = ANY(CAST(:ids AS uuid[])) AND object_key IS NULL AND superseded_at IS NULL
    ORDER BY created_at, document_id
"""

ATTACH = """
    UPDATE {s}.documents SET object_key = :key, storage = :storage
    WHERE user_id = :user AND document_id = CAST(:id AS uuid) AND object_key IS NULL AND superseded_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Where the bytes of a document lie: the key, and what the storage is called."""

    id: str
    key: str
    storage: str


async def stored_objects(transaction: Transaction, user_id: str) -> list[StoredObject]:
    """Return the objects of a user's documents."""
    rows = await transaction.all(KEPT, {"user": user_id})
    return [StoredObject(row.id, row.key, row.storage) for row in rows]


async def documents_without_object(database: Database, user_id: str, ids: Sequence[str]) -> dict[str, str]:
    """Return those of the documents that have no object, each with the type of its content."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(LACKING, {"user": user_id, "ids": list(ids)})
    return {row.id: row.content_type for row in rows}


async def attach_object(database: Database, user_id: str, document_id: str, claim: Claim) -> bool:
    """Give a document the object of a claim, which is acknowledged; False when it has one or is gone."""
    async with database.user(user_id) as transaction:
        await lock_user(transaction, user_id)
        if not await lock_held(transaction, claim):
            return False
        given = {"key": claim.jobs[0].payload["key"], "storage": claim.capability}
        if not await transaction.run(ATTACH, {"user": user_id, "id": document_id, **given}):
            return False
        await acknowledge_jobs(transaction, claim)
    return True
