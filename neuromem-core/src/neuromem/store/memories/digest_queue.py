"""What digest has to do: when a digest is due, the lease of who digests for a user, and the undigested memories."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from neuromem.store.database.sql import fill
from neuromem.store.database.users import lock_user
from neuromem.store.memories.derived_types import NOT_DERIVED
from neuromem.store.memories.memory_rows import MEMORY_COLUMNS, memory_from_row
from neuromem.store.queue.job_kinds import DIGEST
from neuromem.store.queue.lease import LEASE_COLUMNS, NEW_LEASE, Lease, LeaseTable, has_no_lease
from neuromem.store.queue.worker_liveness import lock_namespace, owner_is_gone
from neuromem.store.search_index.filters import memory_holds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Database, Transaction

DIGESTS = LeaseTable("digests")

# At most one digest of a user waits. One that is being done does not count: it may have read its memories already,
# and those to come need another.
WAITING_DIGEST = fill(
    "SELECT FROM {s}.jobs j WHERE j.user_id = :user AND j.kind = '{kind}' AND NOT j.dead AND {free}",
    kind=DIGEST.name,
    free=has_no_lease("j"),
)

# Counted in the transaction that stores the messages.
COUNT_MESSAGES = fill(
    """
    WITH counted AS (
        SELECT coalesce((SELECT messages FROM {s}.digests WHERE user_id = :user), 0) + CAST(:messages AS int) AS n
    ), kept AS (
        INSERT INTO {s}.digests AS d (user_id, messages) SELECT :user, n % CAST(:interval AS int) FROM counted
        ON CONFLICT (user_id) DO UPDATE SET messages = excluded.messages
    )
    INSERT INTO {s}.jobs (user_id, kind, capability)
    SELECT :user, '{kind}', '{capability}' FROM counted
    WHERE n >= CAST(:interval AS int) AND NOT EXISTS ({waiting_digest})
    """,
    kind=DIGEST.name,
    capability=DIGEST.capability,
    waiting_digest=WAITING_DIGEST,
)

ENQUEUE = fill(
    """
    INSERT INTO {s}.jobs (user_id, kind, capability, payload)
    SELECT :user, '{kind}', '{capability}', CAST(:payload AS jsonb) WHERE NOT EXISTS ({waiting_digest})
    """,
    kind=DIGEST.name,
    capability=DIGEST.capability,
    waiting_digest=WAITING_DIGEST,
)

VISIBLE = memory_holds(None)
UNDIGESTED = fill(
    """
    m.user_id = :user AND m.digested_at IS NULL AND m.superseded_at IS NULL AND {not_derived} AND {visible}
    """,
    not_derived=NOT_DERIVED,
    visible=VISIBLE,
)

COUNT_UNDIGESTED = fill("SELECT count(*) FROM {s}.memories m WHERE {undigested}", undigested=UNDIGESTED)

# One digest of a user at a time: the next batch is judged in the light of what this one finds.
TAKE_LEASE = fill(
    """
    INSERT INTO {s}.digests AS d (user_id, {lease_columns}) SELECT :user, {new_lease}
    WHERE EXISTS (SELECT FROM {s}.memories m WHERE {undigested})
    ON CONFLICT (user_id) DO UPDATE SET ({lease_columns}) = ROW({new_lease})
    WHERE {free} OR d.lease = excluded.lease OR {owner_is_gone}
    RETURNING d.lease
    """,
    lease_columns=LEASE_COLUMNS,
    new_lease=NEW_LEASE,
    undigested=UNDIGESTED,
    free=has_no_lease("d"),
    owner_is_gone=owner_is_gone("d"),
)

RELEASE_LEASE = DIGESTS.release()

BATCH = fill(
    "SELECT {columns} FROM {s}.memories m WHERE {undigested} ORDER BY m.created_at, m.memory_id LIMIT :most",
    columns=MEMORY_COLUMNS,
    undigested=UNDIGESTED,
)

BY_ID = fill(
    """
    SELECT {columns} FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_id = ANY(CAST(:ids AS uuid[])) AND {visible}
    ORDER BY array_position(CAST(:ids AS uuid[]), m.memory_id)
    """,
    columns=MEMORY_COLUMNS,
    visible=VISIBLE,
)

# Memories that have no newer version than was read. Their source is a conversation, or the memory itself.
UNCHANGED = """
    SELECT m.memory_id, m.version, m.confidence,
           coalesce((SELECT min(g.session_id) FROM {s}.memory_sources s
                     JOIN {s}.messages g ON g.user_id = :user AND g.message_id = s.message_id
                     WHERE s.user_id = :user AND s.memory_id = m.memory_id AND s.version = m.version),
                    'memory ' || m.memory_id) AS source,
           ARRAY(SELECT s.message_id FROM {s}.memory_sources s
                 WHERE s.user_id = :user AND s.memory_id = m.memory_id AND s.version = m.version) AS messages
    FROM unnest(CAST(:memory AS uuid[]), CAST(:version AS int[])) AS n(memory_id, version)
    JOIN {s}.memories m ON m.user_id = :user AND m.memory_id = n.memory_id AND m.version = n.version
    WHERE m.superseded_at IS NULL
"""

MARK = """
    UPDATE {s}.memories m SET digested_at = :now
    FROM unnest(CAST(:memory AS uuid[]), CAST(:version AS int[])) AS n(memory_id, version)
    WHERE m.user_id = :user AND m.memory_id = n.memory_id AND m.version = n.version AND m.digested_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A memory that has not changed since it was read for a digest.

    Attributes:
        memory_id: The memory.
        version: The version that was read.
        confidence: How sure it is that the memory is true, between 0 and 1.
        source: Where it was said: a session, or the memory itself when it is from no conversation.
        messages: The messages that it comes from.
    """

    memory_id: str
    version: int
    confidence: float | None
    source: str
    messages: tuple[str, ...]


async def count_user_messages(transaction: Transaction, user_id: str, messages: int, interval: int) -> None:
    """Count further messages of role user, and enqueue a digest after every ``interval`` of them."""
    await transaction.run(COUNT_MESSAGES, {"user": user_id, "interval": interval, "messages": messages})


async def enqueue_digest(database: Database, user_id: str, batch_size: int) -> None:
    """Enqueue a digest, unless one waits already."""
    async with database.user(user_id) as transaction:
        await lock_user(transaction, user_id)
        await transaction.run(ENQUEUE, {"user": user_id, "payload": json.dumps({"batch_size": batch_size})})


def new_digest_lease(user_id: str) -> Lease:
    """Return a lease on the right to digest for a user, which is still to be taken."""
    return Lease(DIGESTS, user_id, str(uuid4()))


async def take_digest_lease(
    database: Database, lease: Lease, seconds: float, owner: int | None = None
) -> Literal["taken", "busy", "nothing"]:
    """Take the right to digest for a user.

    Args:
        database: Where the user is.
        lease: What `new_digest_lease` returned.
        seconds: How long the lease lasts.
        owner: The number of this process among those that are alive (`WorkerLiveness.owner`).

    Returns:
        "busy" when a process that is alive holds it, "nothing" when no memory is undigested.
    """
    async with database.user(lease.user_id) as transaction:
        await lock_user(transaction, lease.user_id)
        given = {
            **lease.parameters,
            "seconds": seconds,
            "owner": owner,
            "namespace": lock_namespace(database),
        }
        if await transaction.value(TAKE_LEASE, given) is not None:
            return "taken"
        return "busy" if await count_undigested(transaction, lease.user_id) else "nothing"


async def release_digest_lease(database: Database, lease: Lease) -> None:
    """Give the right to digest back."""
    async with database.user(lease.user_id) as transaction:
        await transaction.run(RELEASE_LEASE, lease.parameters)


async def count_undigested(transaction: Transaction, user_id: str) -> int:
    """Return how many memories of a user are not digested."""
    return int(await transaction.value(COUNT_UNDIGESTED, {"user": user_id}))


async def undigested_batch(transaction: Transaction, user_id: str, most: int) -> list[Memory]:
    """Return up to ``most`` memories that are not digested, the oldest first."""
    return [memory_from_row(row) for row in await transaction.all(BATCH, {"user": user_id, "most": most})]


async def evidence_by_id(transaction: Transaction, user_id: str, ids: Sequence[str]) -> list[Memory]:
    """Return memories by their ids, in that order, without those that are not current."""
    return [memory_from_row(row) for row in await transaction.all(BY_ID, {"user": user_id, "ids": list(ids)})]


async def unchanged_evidence(
    transaction: Transaction, user_id: str, memories: Sequence[Memory]
) -> dict[str, Evidence]:
    """Return by id those of the memories that are current in the version that was read."""
    rows = await transaction.all(UNCHANGED, {"user": user_id, **_versions(memories)})
    return {
        str(row.memory_id): Evidence(
            str(row.memory_id), row.version, row.confidence, row.source, tuple(str(m) for m in row.messages)
        )
        for row in rows
    }


async def mark_digested(
    transaction: Transaction, user_id: str, memories: Sequence[Memory], now: datetime
) -> None:
    """Mark memories, in the version that was read, as digested."""
    await transaction.run(MARK, {"user": user_id, "now": now, **_versions(memories)})


def _versions(memories: Sequence[Memory]) -> dict[str, Any]:
    return {"memory": [m.id for m in memories], "version": [m.version for m in memories]}
