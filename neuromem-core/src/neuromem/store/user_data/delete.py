"""Leaves nothing of a user behind, and says whether anything is left.

Which tables there are is asked of the database, so none can be forgotten. What lies outside of it, the objects of
files, is deleted by jobs under a random name, tried again until they are gone; they hold keys and nothing else.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.store.queue.job_kinds import OUTLIVING_USERS
from neuromem.store.schema.catalog import user_tables
from neuromem.store.search_index.hnsw import drop_indexes_of_user

if TYPE_CHECKING:
    from neuromem.store.database.database import Database, Transaction

# An upload holds the job that would delete its object, and then waits for the user: take them in the same order.
UPLOADS = "SELECT job FROM {s}.jobs WHERE user_id = :user AND kind = 'object' ORDER BY job FOR UPDATE"

# Waits for every transaction that writes to the user, and keeps later ones waiting, those that hold the user's row
# in place while they add to it as well.
LOCK = "SELECT user_id FROM {s}.users WHERE user_id = :user FOR UPDATE"

# Both the objects of documents and those that are being stored or deleted already.
OBJECTS = """
    SELECT storage AS capability, object_key AS key FROM {s}.documents WHERE user_id = :user AND object_key IS NOT NULL
    UNION
    SELECT capability, payload ->> 'key' FROM {s}.jobs WHERE user_id = :user AND kind = 'object'
"""

SCOPE = "SELECT set_config('neuromem.scope', :scope, true)"

HAND_OVER = """
    INSERT INTO {s}.jobs (user_id, kind, capability, payload)
    SELECT :receipt, 'object', n.capability, jsonb_build_object('key', n.key)
    FROM unnest(CAST(:capabilities AS text[]), CAST(:keys AS text[])) AS n(capability, key)
"""

PENDING = """
    SELECT count(*) FROM {s}.jobs WHERE kind = 'object' AND starts_with(payload ->> 'key', :prefix)
"""


def object_prefix(user_id: str) -> str:
    """Return how the keys of a user's objects begin: they can be told, and tell nothing."""
    return blake2b(user_id.encode(), digest_size=16).hexdigest() + "/"


async def delete_user(database: Database, user_id: str) -> dict[str, int]:
    """Delete every row of a user in one transaction; returns how many there were in each table."""
    async with database.user(user_id) as transaction:
        await transaction.run(UPLOADS, {"user": user_id})
        await transaction.run(LOCK, {"user": user_id})
        objects = await transaction.all(OBJECTS, {"user": user_id})
        tables = await user_tables(transaction)
        # Work first: whoever is about to store a result holds his jobs, and takes what they are about after them.
        first = [table for table in tables if table.name == "jobs"]
        deleted = {}
        for table in (*first, *(table for table in tables if table not in first)):
            deleted[table.name] = await transaction.run(
                f"DELETE FROM {{s}}.{table.name} WHERE user_id = :user", {"user": user_id}
            )
        if objects:
            await transaction.run(SCOPE, {"scope": "worker"})
            await transaction.run(
                HAND_OVER,
                {
                    "receipt": f"deleted-{uuid4()}",
                    "capabilities": [row.capability for row in objects],
                    "keys": [row.key for row in objects],
                },
            )
            await transaction.run(SCOPE, {"scope": ""})
    await drop_indexes_of_user(database, user_id)
    return dict(sorted(deleted.items()))


async def count_remaining(database: Database, user_id: str) -> tuple[int, int]:
    """Return how many rows of a user there are, and how many objects are still to be deleted."""
    async with database.reader(user_id) as transaction:
        rows = 0
        for table in await user_tables(transaction):
            rows += await _count(transaction, user_id, table.name)
    async with database.worker() as transaction:
        pending = await transaction.value(PENDING, {"prefix": object_prefix(user_id)})
    return rows, int(pending)


async def _count(transaction: Transaction, user_id: str, table: str) -> int:
    # An upload that lost its user has its own object deleted: that is pending, not left.
    others = f"AND kind <> ALL({OUTLIVING_USERS})" if table == "jobs" else ""
    found = await transaction.value(
        f"SELECT count(*) FROM {{s}}.{table} WHERE user_id = :user {others}", {"user": user_id}
    )
    return int(found)
