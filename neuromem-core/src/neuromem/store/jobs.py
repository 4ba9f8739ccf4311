"""The work queue: rows of our own, so that a result and its acknowledgement commit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.store.engine import Database, Transaction

# Users take turns in the order of their ids, from where this worker left off: nobody starves, and no index over
# all users is needed.
NEXT = """
    SELECT j.user_id, j.kind, j.needs FROM {s}.jobs j
    WHERE j.user_id > :after AND NOT j.dead AND j.run_after <= now()
      AND (j.lease_until IS NULL OR j.lease_until < now()) AND j.needs = ANY(CAST(:serves AS text[]))
    ORDER BY j.user_id, j.job LIMIT 1
"""

CLAIM = """
    UPDATE {s}.jobs j SET lease = :lease, lease_until = now() + make_interval(secs => :seconds),
                          attempts = j.attempts + 1
    WHERE j.user_id = :user AND j.job IN (
        SELECT c.job FROM {s}.jobs c
        WHERE c.user_id = :user AND c.kind = :kind AND c.needs = :needs AND NOT c.dead AND c.run_after <= now()
          AND (c.lease_until IS NULL OR c.lease_until < now())
        ORDER BY c.job LIMIT :most FOR UPDATE SKIP LOCKED
    )
    RETURNING j.job, j.entry, j.payload, j.attempts
"""

EXTEND = """
    UPDATE {s}.jobs SET lease_until = now() + make_interval(secs => :seconds)
    WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
"""

# Locks the jobs that are still ours; what another worker took over after our lease ran out is not among them.
HELD = """
    SELECT job FROM {s}.jobs WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
    FOR UPDATE
"""

DONE = "DELETE FROM {s}.jobs WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease"

RETRY = """
    UPDATE {s}.jobs SET lease = NULL, lease_until = NULL, error = :error,
        dead = attempts >= :most, run_after = now() + make_interval(secs => :delay)
    WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
    RETURNING dead
"""

RELEASE = """
    UPDATE {s}.jobs SET lease = NULL, lease_until = NULL, attempts = attempts - 1
    WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
"""

COUNT_USER = """
    SELECT count(*) AS open, count(*) FILTER (WHERE needs = ANY(CAST(:serves AS text[]))) AS servable,
           min(greatest(run_after, coalesce(lease_until, run_after))) AS due, now() AS now
    FROM {s}.jobs WHERE user_id = :user AND NOT dead
"""

COUNT_ALL = COUNT_USER.replace("user_id = :user AND ", "")


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work; ``attempts`` counts this one."""

    job: int
    entry: int | None
    payload: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Jobs of one user and kind that this worker holds until its lease runs out."""

    user_id: str
    kind: str
    needs: str
    lease: str
    jobs: tuple[Job, ...]

    @property
    def ids(self) -> list[int]:
        """The numbers of the jobs."""
        return [job.job for job in self.jobs]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is waiting: jobs that are not dead, those of them that were asked about, and when the first is due."""

    open: int
    servable: int
    due: datetime | None
    now: datetime


async def claim(
    database: Database, serves: Sequence[str], *, after: str, most: int, seconds: float
) -> Claim | None:
    """Take the oldest jobs of the next user who has some that this worker can serve; None: there are none."""
    async with database.worker() as transaction:
        row = await transaction.first(NEXT, {"after": after, "serves": list(serves)})
        if row is None and after:
            row = await transaction.first(NEXT, {"after": "", "serves": list(serves)})
        if row is None:
            return None
        lease = str(uuid4())
        rows = await transaction.all(
            CLAIM,
            {
                "user": row.user_id, "kind": row.kind, "needs": row.needs, "lease": lease, "most": most,
                "seconds": seconds,
            },
        )  # fmt: skip
    jobs = sorted((Job(r.job, r.entry, r.payload, r.attempts) for r in rows), key=lambda job: job.job)
    return Claim(row.user_id, row.kind, row.needs, lease, tuple(jobs))


async def extend(database: Database, claim: Claim, seconds: float) -> bool:
    """Renew the lease; False when another worker has taken over."""
    async with database.user(claim.user_id) as transaction:
        touched = await transaction.run(
            EXTEND,
            {"user": claim.user_id, "jobs": claim.ids, "lease": claim.lease, "seconds": seconds},
        )
    return touched > 0


async def held(transaction: Transaction, claim: Claim) -> set[int]:
    """Lock the jobs of a claim that are still held and return their numbers."""
    rows = await transaction.all(
        HELD, {"user": claim.user_id, "jobs": claim.ids, "lease": claim.lease}
    )
    return {row.job for row in rows}


async def done(transaction: Transaction, claim: Claim) -> None:
    """Acknowledge a claim, in the transaction that stores its result."""
    await transaction.run(DONE, {"user": claim.user_id, "jobs": claim.ids, "lease": claim.lease})


async def fail(database: Database, claim: Claim, error: str, *, delay: float, most: int) -> bool:
    """Put the jobs back for another try after ``delay`` seconds; True when that was the last one."""
    async with database.user(claim.user_id) as transaction:
        rows = await transaction.all(
            RETRY,
            {
                "user": claim.user_id, "jobs": claim.ids, "lease": claim.lease, "error": error[:2000],
                "delay": delay, "most": most,
            },
        )  # fmt: skip
    return any(row.dead for row in rows)


async def release(database: Database, claim: Claim) -> None:
    """Give the jobs back untouched, as when the process shuts down."""
    async with database.user(claim.user_id) as transaction:
        await transaction.run(RELEASE, {"user": claim.user_id, "jobs": claim.ids, "lease": claim.lease})


async def backlog(database: Database, serves: Sequence[str], user_id: str | None = None) -> Backlog:
    """Count what is waiting, of one user or of all."""
    scope = database.worker() if user_id is None else database.user(user_id)
    async with scope as transaction:
        row = await transaction.first(
            COUNT_ALL if user_id is None else COUNT_USER, {"user": user_id, "serves": list(serves)}
        )
    assert row is not None  # noqa: S101  an aggregate gives its row
    return Backlog(row.open, row.servable, row.due, row.now)
