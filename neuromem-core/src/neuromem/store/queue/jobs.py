"""Jobs: rows of our own, so that a result and the end of its jobs commit together.

A job is enqueued in the transaction that stores what it is about, holds ids and never content, and is claimed under a
lease (`claim`). Here is how it ends: acknowledged, failed, postponed, released, or retried by hand.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from neuromem.store.database.sql import fill
from neuromem.store.queue.lease import LEASE_COLUMNS, NEW_LEASE, Lease, LeaseTable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.queue.job_kinds import JobKind

ERROR_LENGTH = 2_000  # characters of an error that are kept

JOBS = LeaseTable("jobs", "job = ANY(CAST(:jobs AS bigint[]))")

ADD_HELD = fill(
    """
    INSERT INTO {s}.jobs (user_id, kind, capability, payload, attempts, {lease_columns})
    VALUES (:user, :kind, :capability, CAST(:payload AS jsonb), 1, {new_lease})
    RETURNING job
    """,
    lease_columns=LEASE_COLUMNS,
    new_lease=NEW_LEASE,
)

LOCK_HELD = fill("SELECT job FROM {s}.jobs WHERE {held} FOR UPDATE", held=JOBS.held)

ACKNOWLEDGE_JOBS = fill("DELETE FROM {s}.jobs WHERE {held} RETURNING job", held=JOBS.held)

REQUEUE = fill(
    """
    WITH done AS (
        DELETE FROM {s}.jobs WHERE {held} RETURNING user_id, kind, capability
    )
    INSERT INTO {s}.jobs (user_id, kind, capability, payload)
    SELECT user_id, kind, capability, CAST(:payload AS jsonb) FROM done
    """,
    held=JOBS.held,
)

FAIL = JOBS.release("error = :error, dead = :dead, run_after = now() + make_interval(secs => :delay)")
RELEASE = JOBS.release("attempts = attempts - 1")
POSTPONE = JOBS.release("attempts = attempts - 1, error = :error, run_after = :until")

# What fails for ever must not be tried for ever: each job is retried so often and no more.
RETRY = """
    WITH retried AS (
        UPDATE {s}.jobs SET dead = false, attempts = 0, run_after = now(),
            payload = payload || jsonb_build_object('retries', coalesce((payload ->> 'retries')::int, 0) + 1)
        WHERE lease IS NULL AND (dead OR attempts > 0) AND coalesce((payload ->> 'retries')::int, 0) < :most
          AND (CAST(:kind AS text) IS NULL OR kind = :kind) AND {whose}
        RETURNING kind
    )
    SELECT kind, count(*) AS n FROM retried GROUP BY kind ORDER BY kind
"""
RETRY_ALL = fill(RETRY, whose="true")
RETRY_USER = fill(RETRY, whose="user_id = :user")


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work.

    Attributes:
        job: Its number.
        entry: The index entry that it is about, None when it is about something else.
        payload: What else its handler needs to know.
        attempts: How often it was tried, this time included.
    """

    job: int
    entry: int | None
    payload: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Jobs of one user and kind that this worker holds until its lease runs out."""

    user_id: str
    kind: str
    capability: str
    lease_id: str
    jobs: tuple[Job, ...]

    @property
    def ids(self) -> list[int]:
        """The numbers of the jobs."""
        return [job.job for job in self.jobs]

    @property
    def lease(self) -> Lease:
        """The lease on the jobs."""
        return Lease(JOBS, self.user_id, self.lease_id, {"jobs": self.ids})

    @property
    def attempts(self) -> int:
        """How often these jobs were tried, this time included."""
        return max(job.attempts for job in self.jobs)

    def only(self, ids: Collection[int]) -> Claim:
        """Return the part of the claim with these numbers."""
        return replace(self, jobs=tuple(job for job in self.jobs if job.job in ids))


async def add_held_job(
    transaction: Transaction,
    user_id: str,
    kind: JobKind,
    capability: str,
    payload: Mapping[str, Any],
    seconds: float,
) -> Claim:
    """Enqueue a job that the caller holds: unless it is acknowledged within ``seconds``, a worker does it."""
    lease = str(uuid4())
    job = await transaction.value(
        ADD_HELD,
        {
            "user": user_id,
            "kind": kind.name,
            "capability": capability,
            "payload": json.dumps(payload),
            "lease": lease,
            "seconds": seconds,
            "owner": None,  # when the process dies, the job has its time nevertheless
        },
    )
    return Claim(user_id, kind.name, capability, lease, (Job(job, None, payload, 1),))


async def lock_held(transaction: Transaction, claim: Claim) -> set[int]:
    """Lock the jobs of a claim that are still held, until the transaction ends.

    Returns:
        Their numbers; what another worker took over after the lease had run out is not among them.
    """
    return {row.job for row in await transaction.all(LOCK_HELD, claim.lease.parameters)}


async def acknowledge_jobs(transaction: Transaction, claim: Claim) -> set[int]:
    """Delete the jobs of a claim, in the transaction that stores its result.

    Returns:
        The numbers of those that were still held; the results of the others must not be stored.
    """
    return {row.job for row in await transaction.all(ACKNOWLEDGE_JOBS, claim.lease.parameters)}


async def requeue_remainder(transaction: Transaction, claim: Claim, payload: Mapping[str, Any]) -> None:
    """Acknowledge a claim and enqueue what is left of its work, behind what was enqueued in the meantime."""
    await transaction.run(REQUEUE, {**claim.lease.parameters, "payload": json.dumps(payload)})


async def fail_jobs(database: Database, claim: Claim, error: str, *, delay: float, dead: bool) -> None:
    """Put jobs back for another try after ``delay`` seconds; those that are ``dead`` are not tried again."""
    async with database.user(claim.user_id) as transaction:
        await transaction.run(
            FAIL, {**claim.lease.parameters, "error": error[:ERROR_LENGTH], "delay": delay, "dead": dead}
        )


async def release_jobs(database: Database, claim: Claim) -> None:
    """Give jobs back as if they had not been tried, as when the process shuts down."""
    async with database.user(claim.user_id) as transaction:
        await transaction.run(RELEASE, claim.lease.parameters)


async def postpone_jobs(database: Database, claim: Claim, error: str, until: datetime) -> None:
    """Put jobs off until a moment without counting a try, as when a budget is spent; ``error`` says why."""
    async with database.user(claim.user_id) as transaction:
        await transaction.run(
            POSTPONE, {**claim.lease.parameters, "error": error[:ERROR_LENGTH], "until": until}
        )


async def retry_jobs(database: Database, user_id: str | None, kind: str | None, most: int) -> dict[str, int]:
    """Let jobs that failed or are dead be tried again at once.

    Args:
        database: Where the queue is.
        user_id: Whose jobs; None: everybody's.
        kind: Jobs of this kind; None: of all kinds.
        most: How often a job may be retried like this.

    Returns:
        How many jobs are tried again, by kind.
    """
    scope = database.worker() if user_id is None else database.user(user_id)
    async with scope as transaction:
        rows = await transaction.all(
            RETRY_ALL if user_id is None else RETRY_USER, {"user": user_id, "kind": kind, "most": most}
        )
    return {row.kind: row.n for row in rows}
