"""Deletes everything of a user, and counts what is left.

Which tables hold data of users is asked of the database, so that none can be forgotten. The objects of the user's files
are outside of the database: jobs delete them, under a random name and with nothing but keys, and are retried until the
objects are deleted.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.store.database.sql import fill
from neuromem.store.queue.job_kinds import OUTLIVING_USERS
from neuromem.store.schema.catalog import user_tables
from neuromem.store.search_index.hnsw import drop_indexes_of_user

if TYPE_CHECKING:
    from neuromem.store.database.database import Database, Transaction

# An upload locks the job that would delete its object, then the user: the same order here avoids a deadlock.
LOCK_UPLOADS = "SELECT job FROM {s}.jobs WHERE user_id = :user AND kind = 'object' ORDER BY job FOR UPDATE"

# Waits for every transaction that writes for the user, and blocks later ones; FOR UPDATE also excludes FOR KEY SHARE,
# which counters take.
LOCK_USER = "SELECT user_id FROM {s}.users WHERE user_id = :user FOR UPDATE"

# The objects of documents, and those that are being stored or deleted already.
SELECT_OBJECTS = """
    SELECT storage AS capability, object_key AS key FROM {s}.documents WHERE user_id = :user AND object_key IS NOT NULL
    UNION
    SELECT capability, payload ->> 'key' FROM {s}.jobs WHERE user_id = :user AND kind = 'object'
"""

SET_SCOPE = "SELECT set_config('neuromem.scope', :scope, true)"

ENQUEUE_OBJECT_DELETION = """
    INSERT INTO {s}.jobs (user_id, kind, capability, payload)
    SELECT :receipt, 'object', n.capability, jsonb_build_object('key', n.key)
    FROM unnest(CAST(:capabilities AS text[]), CAST(:keys AS text[])) AS n(capability, key)
"""

COUNT_PENDING_OBJECTS = """
    SELECT count(*) FROM {s}.jobs WHERE kind = 'object' AND starts_with(payload ->> 'key', :prefix)
"""


def object_prefix(user_id: str) -> str:
    """Return the beginning of the keys of a user's objects: a hash, which identifies the user without naming them."""
    return blake2b(user_id.encode(), digest_size=16).hexdigest() + "/"


async def delete_user(database: Database, user_id: str) -> dict[str, int]:
    """Delete every row of a user in one transaction, and enqueue the deletion of their objects.

    Returns:
        How many rows were deleted, by table.
    """
    async with database.user(user_id) as transaction:
        await transaction.run(LOCK_UPLOADS, {"user": user_id})
        await transaction.run(LOCK_USER, {"user": user_id})
        objects = await transaction.all(SELECT_OBJECTS, {"user": user_id})
        tables = await user_tables(transaction)
        # Jobs first, as in the order of a worker that stores a result: it locks its jobs, then what they are about.
        first = [table for table in tables if table.name == "jobs"]
        deleted = {}
        for table in (*first, *(table for table in tables if table not in first)):
            deleted[table.name] = await transaction.run(
                fill("DELETE FROM {s}.{table} WHERE user_id = :user", table=table.name), {"user": user_id}
            )
        if objects:
            await transaction.run(SET_SCOPE, {"scope": "worker"})
            await transaction.run(
                ENQUEUE_OBJECT_DELETION,
                {
                    "receipt": f"deleted-{uuid4()}",
                    "capabilities": [row.capability for row in objects],
                    "keys": [row.key for row in objects],
                },
            )
            await transaction.run(SET_SCOPE, {"scope": ""})
    await drop_indexes_of_user(database, user_id)
    return dict(sorted(deleted.items()))


async def count_remaining(database: Database, user_id: str) -> tuple[int, int]:
    """Return how many rows of a user are left, and how many of their objects are still to be deleted."""
    async with database.reader(user_id) as transaction:
        rows = 0
        for table in await user_tables(transaction):
            rows += await _count(transaction, user_id, table.name)
    async with database.worker() as transaction:
        pending = await transaction.value(COUNT_PENDING_OBJECTS, {"prefix": object_prefix(user_id)})
    return rows, int(pending)


async def _count(transaction: Transaction, user_id: str, table: str) -> int:
    # Jobs that delete objects are counted as pending objects.
    others = f"AND kind <> ALL({OUTLIVING_USERS})" if table == "jobs" else ""
    found = await transaction.value(
        fill("SELECT count(*) FROM {s}.{table} WHERE user_id = :user {others}", table=table, others=others),
        {"user": user_id},
    )
    return int(found)
