"""The queue of extraction: jobs enqueued with the messages, at once or held back until there are enough of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.store.database.sql import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.store.database.database import Database, Transaction

ENQUEUE_NOW = """
    INSERT INTO {s}.jobs (user_id, kind, capability, entry, payload)
    SELECT :user, 'extract', n.capability, e.entry, jsonb_build_object('session', CAST(:session AS text))
    FROM unnest(CAST(:entries AS int[])) WITH ORDINALITY AS e(entry, place)
    CROSS JOIN unnest(CAST(:capabilities AS text[])) AS n(capability) ORDER BY e.place
"""

# Jobs of a session that are held back until there are more of them, or until nothing was said for a while.
HELD_BACK = """
    user_id = :user AND kind = 'extract' AND NOT dead AND attempts = 0 AND lease IS NULL AND jobs.run_after > now()
    AND payload ->> 'session' = CAST(:session AS text)
"""

ENQUEUE_HELD_BACK = fill(
    """
    WITH due AS (
        SELECT CASE WHEN (SELECT count(DISTINCT entry) FROM {s}.jobs WHERE {held_back})
                         + cardinality(CAST(:entries AS int[])) >= :interval
               THEN now() ELSE now() + make_interval(secs => :idle) END AS run_after
    ), rescheduled AS (
        UPDATE {s}.jobs SET run_after = due.run_after FROM due WHERE {held_back}
    )
    INSERT INTO {s}.jobs (user_id, kind, capability, entry, payload, run_after)
    SELECT :user, 'extract', n.capability, e.entry, jsonb_build_object('session', CAST(:session AS text)), due.run_after
    FROM due CROSS JOIN unnest(CAST(:entries AS int[])) WITH ORDINALITY AS e(entry, place)
    CROSS JOIN unnest(CAST(:capabilities AS text[])) AS n(capability) ORDER BY e.place
    """,
    held_back=HELD_BACK,
)

RELEASE_SESSION = fill("UPDATE {s}.jobs SET run_after = now() WHERE {held_back}", held_back=HELD_BACK)
RELEASE_ALL = """
    UPDATE {s}.jobs SET run_after = now()
    WHERE kind = 'extract' AND NOT dead AND attempts = 0 AND lease IS NULL AND run_after > now()
"""
RELEASE_USER = fill("{release_all} AND user_id = :user", release_all=RELEASE_ALL)


@dataclass(frozen=True, slots=True)
class ExtractionRequest:
    """Which extractors get messages, and when.

    Attributes:
        capabilities: Those of the extractors: a message gets one job for each, taken by a worker that has it.
        interval: How many messages of a session are extracted together; 1 extracts each at once.
        idle: Seconds without a message after which fewer are extracted.
        on_session_close: Whether closing a session releases what is held back in it.
    """

    capabilities: Sequence[str]
    interval: int
    idle: float
    on_session_close: bool = True


async def enqueue_extraction(
    transaction: Transaction, user_id: str, session_id: str, entries: Sequence[int], wanted: ExtractionRequest
) -> None:
    """Enqueue the extraction of messages, in the transaction that stores them.

    Args:
        transaction: The transaction that stores the messages.
        user_id: Whose messages.
        session_id: Their session.
        entries: Their numbers in the search index, in order.
        wanted: Which extractors get them, and when.
    """
    await transaction.run(
        ENQUEUE_NOW if wanted.interval == 1 else ENQUEUE_HELD_BACK,
        {
            "user": user_id,
            "session": session_id,
            "entries": list(entries),
            "capabilities": list(wanted.capabilities),
            "interval": wanted.interval,
            "idle": wanted.idle,
        },
    )


async def release_waiting_extractions(
    database: Database, user_id: str | None = None, session_id: str | None = None
) -> None:
    """Make extraction jobs that are held back due now: of a session, of a user (None), or of everybody (both None)."""
    scope = database.worker() if user_id is None else database.user(user_id)
    sql = RELEASE_ALL if user_id is None else RELEASE_USER if session_id is None else RELEASE_SESSION
    async with scope as transaction:
        await transaction.run(sql, {"user": user_id, "session": session_id})
