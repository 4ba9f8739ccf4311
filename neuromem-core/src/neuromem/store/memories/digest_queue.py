"""The work of digest: when it is due, who does it, what is not digested yet, and how a batch ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from neuromem.store.database.users import lock_user
from neuromem.store.memories.derived_types import NOT_DERIVED
from neuromem.store.memories.write import MEMORY_COLUMNS, memory_from_row
from neuromem.store.queue.worker_liveness import LIVE_WORKERS, lock_namespace
from neuromem.store.search_index.filters import memory_visibility

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Database, Transaction

KIND = "digest"
DIGEST_CAPABILITY = "digest"
"""What a worker must have: an LLM."""

# At most one waits; one that runs already has taken its memories, and those to come need another.
WAITS = """
    SELECT FROM {s}.jobs WHERE user_id = :user AND kind = 'digest' AND NOT dead
    AND (lease IS NULL OR lease_until < now())
"""

# Counted in the transaction that stores the messages: every so many of them a digest is asked for.
COUNT = f"""
    WITH said AS (
        SELECT coalesce((SELECT messages FROM {{s}}.digests WHERE user_id = :user), 0) + CAST(:messages AS int) AS n
    ), counted AS (
        INSERT INTO {{s}}.digests AS d (user_id, messages) SELECT :user, n % CAST(:interval AS int) FROM said
        ON CONFLICT (user_id) DO UPDATE SET messages = excluded.messages
    )
    INSERT INTO {{s}}.jobs (user_id, kind, capability)
    SELECT :user, 'digest', :capability FROM said WHERE n >= CAST(:interval AS int) AND NOT EXISTS ({WAITS})
"""

ENQUEUE = f"""
    INSERT INTO {{s}}.jobs (user_id, kind, capability, payload)
    SELECT :user, 'digest', :capability, CAST(:payload AS jsonb) WHERE NOT EXISTS ({WAITS})
"""

UNDIGESTED = f"""
    m.user_id = :user AND m.digested_at IS NULL AND m.superseded_at IS NULL AND {NOT_DERIVED}
    AND {memory_visibility(None)[0]}
"""

LEFT = f"SELECT count(*) FROM {{s}}.memories m WHERE {UNDIGESTED}"

# One digest of a user at a time: the next batch is judged in the light of what this one finds.
TAKE = f"""
    INSERT INTO {{s}}.digests AS d (user_id, lease, lease_until, owner)
    SELECT :user, CAST(:lease AS uuid), now() + make_interval(secs => :seconds), CAST(:owner AS int)
    WHERE EXISTS (SELECT FROM {{s}}.memories m WHERE {UNDIGESTED})
    ON CONFLICT (user_id) DO UPDATE SET lease = excluded.lease, lease_until = excluded.lease_until,
                                        owner = excluded.owner
    WHERE d.lease IS NULL OR d.lease_until < now() OR d.lease = excluded.lease
       OR d.owner IS NOT NULL AND CAST(d.owner AS oid) NOT IN ({LIVE_WORKERS})
    RETURNING d.lease
"""

EXTEND = """
    UPDATE {s}.digests SET lease_until = now() + make_interval(secs => :seconds)
    WHERE user_id = :user AND lease = CAST(:lease AS uuid)
"""

RELEASE = """
    UPDATE {s}.digests SET lease = NULL, lease_until = NULL WHERE user_id = :user AND lease = CAST(:lease AS uuid)
"""

BATCH = f"""
    SELECT {MEMORY_COLUMNS} FROM {{s}}.memories m WHERE {UNDIGESTED} ORDER BY m.created_at, m.memory_id LIMIT :most
"""

NAMED = f"""
    SELECT {MEMORY_COLUMNS} FROM {{s}}.memories m
    WHERE m.user_id = :user AND m.memory_id = ANY(CAST(:ids AS uuid[])) AND {memory_visibility(None)[0]}
    ORDER BY array_position(CAST(:ids AS uuid[]), m.memory_id)
"""

# What is still as it was read; where it was said: in a conversation, or by itself.
STILL = """
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
    """A memory that still says what it said when it was shown: its version, its confidence, where it was said."""

    memory_id: str
    version: int
    confidence: float | None
    source: str
    messages: tuple[str, ...]


async def count_user_messages(transaction: Transaction, user_id: str, messages: int, interval: int) -> None:
    """Count messages of role user; every ``interval`` of them a digest is asked for."""
    await transaction.run(
        COUNT, {"user": user_id, "capability": DIGEST_CAPABILITY, "interval": interval, "messages": messages}
    )


async def enqueue_digest(database: Database, user_id: str, batch_size: int) -> None:
    """Ask for a digest, unless one waits already."""
    async with database.user(user_id) as transaction:
        await lock_user(transaction, user_id)
        payload = json.dumps({"batch_size": batch_size})
        await transaction.run(ENQUEUE, {"user": user_id, "capability": DIGEST_CAPABILITY, "payload": payload})


async def take_digest_lease(
    database: Database, user_id: str, lease: str, seconds: float, owner: int | None = None
) -> Literal["taken", "busy", "nothing"]:
    """Become the one who digests for a user, if there is anything to digest and nobody else who lives does.

    ``owner`` is the number under which the process is present.
    """
    async with database.user(user_id) as transaction:
        await lock_user(transaction, user_id)
        given = {"user": user_id, "lease": lease, "seconds": seconds, "owner": owner}
        if await transaction.value(TAKE, {**given, "kind": lock_namespace(database)}) is not None:
            return "taken"
        return "busy" if await transaction.value(LEFT, {"user": user_id}) else "nothing"


async def extend_digest_lease(database: Database, user_id: str, lease: str, seconds: float) -> None:
    """Stay the one who digests."""
    async with database.user(user_id) as transaction:
        await transaction.run(EXTEND, {"user": user_id, "lease": lease, "seconds": seconds})


async def release_digest_lease(database: Database, user_id: str, lease: str) -> None:
    """Let others digest."""
    async with database.user(user_id) as transaction:
        await transaction.run(RELEASE, {"user": user_id, "lease": lease})


async def count_undigested(transaction: Transaction, user_id: str) -> int:
    """Return how many memories are not digested."""
    return int(await transaction.value(LEFT, {"user": user_id}))


async def undigested_batch(transaction: Transaction, user_id: str, most: int) -> list[Memory]:
    """Return memories that are not digested, those learned first."""
    return [memory_from_row(row) for row in await transaction.all(BATCH, {"user": user_id, "most": most})]


async def evidence_by_id(transaction: Transaction, user_id: str, ids: Sequence[str]) -> list[Memory]:
    """Return memories by their ids, in that order, without those that hold no more."""
    return [memory_from_row(row) for row in await transaction.all(NAMED, {"user": user_id, "ids": list(ids)})]


async def lock_digest_lease(transaction: Transaction, user_id: str, lease: str, seconds: float) -> bool:
    """Tell whether this is still the one who digests, and stay it."""
    return await transaction.run(EXTEND, {"user": user_id, "lease": lease, "seconds": seconds}) > 0


async def unchanged_evidence(
    transaction: Transaction, user_id: str, memories: Sequence[Memory]
) -> dict[str, Evidence]:
    """Return those of memories that hold in the version that was read, by id."""
    rows = await transaction.all(STILL, {"user": user_id, **_named(memories)})
    return {
        str(row.memory_id): Evidence(
            str(row.memory_id), row.version, row.confidence, row.source, tuple(str(m) for m in row.messages)
        )
        for row in rows
    }


async def mark_digested(
    transaction: Transaction, user_id: str, memories: Sequence[Memory], now: datetime
) -> None:
    """Say that memories are digested."""
    await transaction.run(MARK, {"user": user_id, "now": now, **_named(memories)})


def _named(memories: Sequence[Memory]) -> dict[str, Any]:
    return {"memory": [m.id for m in memories], "version": [m.version for m in memories]}
