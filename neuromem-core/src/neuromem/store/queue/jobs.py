"""The work queue: rows of our own, so that a result and its acknowledgement commit together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction

# Kinds of which one claim of a user is served at a time and in order: what is said builds on what was said before.
# A claim holds neighbors of one session. What failed and waits for its next try holds up what came after it.
ORDERED = frozenset({"extract"})
BUSY = """
    EXISTS (SELECT FROM {s}.jobs o
            WHERE o.user_id = j.user_id AND o.kind = j.kind AND o.capability = j.capability AND NOT o.dead
              AND o.attempts > 0 AND (o.lease_until >= now() OR o.run_after > now() AND o.job < j.job))
"""

# A digest waits for what the user said to be extracted, and for another digest; not for what has failed.
TOO_EARLY = """
    EXISTS (SELECT FROM {s}.jobs o
            WHERE o.user_id = j.user_id AND o.job <> j.job AND NOT o.dead AND o.kind IN ('digest', 'extract')
              AND (o.lease_until >= now() OR o.kind = 'extract' AND o.attempts = 0 AND o.run_after <= now()
                   AND o.capability = ANY(CAST(:capabilities AS text[]))))
"""

DUE_JOB = """
    SELECT j.user_id, j.kind, j.capability, j.attempts, j.payload FROM {s}.jobs j
    WHERE {place} AND NOT j.dead AND j.run_after <= now()
      AND (j.lease_until IS NULL OR j.lease_until < now()) AND j.capability = ANY(CAST(:capabilities AS text[]))
      AND (NOT j.kind = ANY(CAST(:ordered AS text[])) OR NOT {busy})
      AND (j.kind <> 'digest' OR NOT {too_early})
    ORDER BY j.user_id, j.job LIMIT 1
""".replace("{busy}", BUSY).replace("{too_early}", TOO_EARLY)

# Users take turns in the order of their ids, from where this worker left off: nobody starves, and no index over all
# users is needed. Two workers that look at the same moment must not both see that nobody is at it: of what is served
# one at a time, ``mine`` is true for one of them.
NEXT = """
    WITH further AS MATERIALIZED ({further}), again AS MATERIALIZED ({again})
    SELECT n.*, CASE WHEN n.kind = ANY(CAST(:ordered AS text[])) THEN
           pg_try_advisory_xact_lock(
               hashtextextended(CAST(:schema AS text) || ' ' || n.capability || ' ' || n.user_id, 0))
           ELSE true END AS mine
    FROM (SELECT * FROM further UNION ALL SELECT * FROM again) AS n
""".replace("{further}", DUE_JOB.replace("{place}", "j.user_id > CAST(:after AS text)")).replace(
    "{again}",
    DUE_JOB.replace("{place}", "NOT EXISTS (SELECT FROM further) AND j.user_id <= CAST(:after AS text)"),
)

# Only jobs that were tried equally often are taken together, and the fewer of them the oftener they failed:
# what fails again and again ends up alone and takes no other with it. An array, because a subquery under IN may
# run once per row, and then takes more than its LIMIT.
CLAIM = """
    UPDATE {s}.jobs j SET lease = :lease, lease_until = now() + make_interval(secs => :seconds),
                          owner = :owner, attempts = least(j.attempts + 1, 30000)
    WHERE j.user_id = :user AND j.job = ANY(ARRAY(
        SELECT c.job FROM {s}.jobs c
        WHERE c.user_id = :user AND c.kind = :kind AND c.capability = :capability AND c.attempts = :attempts
          AND NOT c.dead AND c.run_after <= now() AND (c.lease_until IS NULL OR c.lease_until < now())
          {in_order}
        ORDER BY c.job LIMIT :most FOR UPDATE SKIP LOCKED
    ))
    RETURNING j.job, j.entry, j.payload, j.attempts
"""
CLAIM_ANY = CLAIM.replace("{in_order}", "")
# Neighbors only: up to what is being served, waits for its next try, or was said in another session. Found once per
# claim, for a user may have many thousand jobs.
CLAIM_NEXT = CLAIM.replace(
    "{in_order}",
    """
          AND c.payload ->> 'session' = CAST(:session AS text)
          AND c.job < coalesce((
              SELECT min(CASE WHEN o.lease_until >= now() THEN 0 ELSE o.job END) FROM {s}.jobs o
              WHERE o.user_id = :user AND o.kind = :kind AND o.capability = :capability AND NOT o.dead
                AND (o.lease_until >= now() OR o.attempts > 0 AND o.run_after > now()
                     OR o.run_after <= now() AND o.payload ->> 'session' <> CAST(:session AS text))
          ), 9223372036854775807)
    """,
)

EXTEND = """
    UPDATE {s}.jobs SET lease_until = now() + make_interval(secs => :seconds)
    WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
"""

# Locks the jobs that are still ours; what another worker took over after our lease ran out is not among them.
HELD = """
    SELECT job FROM {s}.jobs WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
    FOR UPDATE
"""

DONE = """
    DELETE FROM {s}.jobs WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
    RETURNING job
"""

RETRY = """
    UPDATE {s}.jobs SET lease = NULL, lease_until = NULL, error = :error,
        dead = :dead, run_after = now() + make_interval(secs => :delay)
    WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
"""

RELEASE = """
    UPDATE {s}.jobs SET lease = NULL, lease_until = NULL, attempts = attempts - 1
    WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
"""

# Puts jobs off without counting a try, as when a budget is spent.
DEFER = """
    UPDATE {s}.jobs SET lease = NULL, lease_until = NULL, attempts = attempts - 1, error = :error, run_after = :until
    WHERE user_id = :user AND job = ANY(CAST(:jobs AS bigint[])) AND lease = :lease
"""

# Each job is brought back so often and no more: what fails for ever must not be tried for ever.
AGAIN = """
    WITH again AS (
        UPDATE {s}.jobs SET dead = false, attempts = 0, run_after = now(),
            payload = payload || jsonb_build_object('retries', coalesce((payload ->> 'retries')::int, 0) + 1)
        WHERE lease IS NULL AND (dead OR attempts > 0) AND coalesce((payload ->> 'retries')::int, 0) < :most
          AND (CAST(:kind AS text) IS NULL OR kind = :kind) {whose}
        RETURNING kind
    )
    SELECT kind, count(*) AS n FROM again GROUP BY kind ORDER BY kind
"""
AGAIN_ALL = AGAIN.replace("{whose}", "")
AGAIN_USER = AGAIN.replace("{whose}", "AND user_id = :user")

# What was never tried and is not due yet waits on purpose: nobody waits for it.
DUE = "(attempts > 0 OR run_after <= now())"

COUNT_USER = f"""
    SELECT count(*) AS open,
           count(*) FILTER (WHERE capability = ANY(CAST(:capabilities AS text[])) AND {DUE}) AS servable
    FROM {{s}}.jobs WHERE user_id = :user AND NOT dead
"""

COUNT_ALL = COUNT_USER.replace("user_id = :user AND ", "")

WAITING_USER = f"""
    SELECT EXISTS (SELECT FROM {{s}}.jobs
                   WHERE user_id = :user AND NOT dead AND capability = ANY(CAST(:capabilities AS text[])) AND {DUE})
"""

WAITING_ALL = WAITING_USER.replace("user_id = :user AND ", "")


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
    capability: str
    lease: str
    jobs: tuple[Job, ...]

    @property
    def ids(self) -> list[int]:
        """The numbers of the jobs."""
        return [job.job for job in self.jobs]

    @property
    def attempts(self) -> int:
        """How often these jobs were tried, this time included."""
        return max(job.attempts for job in self.jobs)

    def only(self, ids: Collection[int]) -> Claim:
        """Return the part of the claim with these numbers."""
        return replace(self, jobs=tuple(job for job in self.jobs if job.job in ids))


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is waiting: jobs that are not dead, and those of them that were asked about and are due."""

    open: int
    servable: int


async def claim_jobs(
    database: Database,
    capabilities: Sequence[str],
    *,
    after: str,
    most: Mapping[str, int],
    seconds: float,
    owner: int | None = None,
) -> Claim | None:
    """Take the oldest jobs of the next user who has some that this worker can serve; None: there are none.

    ``most`` says by kind how many are taken together, at first; 1 for kinds that it does not name. The claim has no
    jobs when others took them in the meantime. ``owner`` is the number under which the worker is present.
    """
    async with database.worker() as transaction:
        asked = {"capabilities": list(capabilities), "ordered": sorted(ORDERED), "schema": database.schema}
        row = await transaction.first(NEXT, {"after": after, **asked})
        if row is None:
            return None
        lease = str(uuid4())
        params = {
            "user": row.user_id,
            "kind": row.kind,
            "capability": row.capability,
            "lease": lease,
            "most": max(1, most.get(row.kind, 1) >> row.attempts),
            "attempts": row.attempts,
            "seconds": seconds,
            "owner": owner,
        }
        if row.kind not in ORDERED:
            rows = await transaction.all(CLAIM_ANY, params)
        elif row.mine:
            rows = await transaction.all(CLAIM_NEXT, {**params, "session": row.payload["session"]})
        else:
            rows = []
    jobs = sorted((Job(r.job, r.entry, r.payload, r.attempts) for r in rows), key=lambda job: job.job)
    return Claim(row.user_id, row.kind, row.capability, lease, tuple(jobs))


async def extend_lease(database: Database, claim: Claim, seconds: float) -> bool:
    """Renew the lease; False when another worker has taken over."""
    async with database.user(claim.user_id) as transaction:
        touched = await transaction.run(
            EXTEND,
            {"user": claim.user_id, "jobs": claim.ids, "lease": claim.lease, "seconds": seconds},
        )
    return touched > 0


async def lock_held(transaction: Transaction, claim: Claim) -> set[int]:
    """Lock the jobs of a claim that are still held and return their numbers."""
    rows = await transaction.all(HELD, {"user": claim.user_id, "jobs": claim.ids, "lease": claim.lease})
    return {row.job for row in rows}


async def acknowledge_jobs(transaction: Transaction, claim: Claim) -> set[int]:
    """Acknowledge a claim, in the transaction that stores its result; returns the jobs that were still held."""
    rows = await transaction.all(DONE, {"user": claim.user_id, "jobs": claim.ids, "lease": claim.lease})
    return {row.job for row in rows}


async def fail_jobs(database: Database, claim: Claim, error: str, *, delay: float, dead: bool) -> None:
    """Put the jobs back for another try after ``delay`` seconds, or with ``dead`` for none."""
    async with database.user(claim.user_id) as transaction:
        await transaction.run(
            RETRY,
            {
                "user": claim.user_id,
                "jobs": claim.ids,
                "lease": claim.lease,
                "error": error[:2000],
                "delay": delay,
                "dead": dead,
            },
        )


async def release_jobs(database: Database, claim: Claim) -> None:
    """Give the jobs back untouched, as when the process shuts down."""
    async with database.user(claim.user_id) as transaction:
        await transaction.run(RELEASE, {"user": claim.user_id, "jobs": claim.ids, "lease": claim.lease})


async def postpone_jobs(database: Database, claim: Claim, error: str, until: datetime) -> None:
    """Put the jobs off until a moment, uncounted; ``error`` says why."""
    async with database.user(claim.user_id) as transaction:
        await transaction.run(
            DEFER,
            {
                "user": claim.user_id,
                "jobs": claim.ids,
                "lease": claim.lease,
                "error": error[:2000],
                "until": until,
            },
        )


async def count_backlog(
    database: Database, capabilities: Sequence[str], user_id: str | None = None
) -> Backlog:
    """Count what is waiting, of one user or of all."""
    scope = database.worker() if user_id is None else database.user(user_id)
    async with scope as transaction:
        row = await transaction.first(
            COUNT_ALL if user_id is None else COUNT_USER,
            {"user": user_id, "capabilities": list(capabilities)},
        )
    assert row is not None
    return Backlog(row.open, row.servable)


async def has_waiting_jobs(
    database: Database, capabilities: Sequence[str], user_id: str | None = None
) -> bool:
    """Tell whether there are jobs that need one of ``capabilities`` and are not dead, of one user or of all."""
    scope = database.worker() if user_id is None else database.user(user_id)
    async with scope as transaction:
        return bool(
            await transaction.value(
                WAITING_ALL if user_id is None else WAITING_USER,
                {"user": user_id, "capabilities": list(capabilities)},
            )
        )


async def retry_jobs(database: Database, user_id: str | None, kind: str | None, most: int) -> dict[str, int]:
    """Try again at once what failed or was given up, unless that was asked ``most`` times; returns how many by kind."""
    scope = database.worker() if user_id is None else database.user(user_id)
    async with scope as transaction:
        rows = await transaction.all(
            AGAIN_ALL if user_id is None else AGAIN_USER, {"user": user_id, "kind": kind, "most": most}
        )
    return {row.kind: row.n for row in rows}
