"""Claiming: a worker takes jobs of one user under a lease.

Users take turns in the order of their ids, from where this worker left off: nobody starves, and no index over all
users is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.store.database.sql import Fragment, all_of, fill
from neuromem.store.queue.job_kinds import IN_ORDER, JOB_KINDS, JobKind, kind_array
from neuromem.store.queue.jobs import Claim, Job
from neuromem.store.queue.lease import LEASE_COLUMNS, NEW_LEASE, has_lease, has_no_lease

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.store.database.database import Database

ORDERED_KINDS = frozenset(kind.name for kind in JOB_KINDS if kind.in_order)

# For kinds that are done in order: another job of the kind is being done, or failed and comes before this one.
EARLIER_JOB_IS_OPEN = fill(
    """
    EXISTS (SELECT FROM {s}.jobs o
            WHERE o.user_id = j.user_id AND o.kind = j.kind AND o.capability = j.capability AND NOT o.dead
              AND o.attempts > 0 AND ({leased} OR o.run_after > now() AND o.job < j.job))
    """,
    leased=has_lease("o"),
)

WAITS_FOR_NOTHING = """
    (j.kind <> '{kind}' OR NOT EXISTS (
        SELECT FROM {s}.jobs o
        WHERE o.user_id = j.user_id AND o.job <> j.job AND NOT o.dead AND o.kind = ANY({not_while})
          AND ({leased} OR o.kind = ANY({waits_for}) AND o.attempts = 0 AND o.run_after <= now()
               AND o.capability = ANY(CAST(:capabilities AS text[])))))
"""


def _waits_for_nothing(kind: JobKind) -> Fragment:
    return fill(
        WAITS_FOR_NOTHING,
        kind=kind.name,
        not_while=kind_array([*([kind] if kind.one_per_user else []), *kind.waits_for]),
        waits_for=kind_array(kind.waits_for),
        leased=has_lease("o"),
    )


DUE_JOB = """
    SELECT j.user_id, j.kind, j.capability, j.attempts, j.payload FROM {s}.jobs j
    WHERE {users} AND NOT j.dead AND j.run_after <= now()
      AND {free} AND j.capability = ANY(CAST(:capabilities AS text[]))
      AND (NOT j.kind = ANY({in_order}) OR NOT {earlier_job_is_open})
      AND {waits_for_nothing}
    ORDER BY j.user_id, j.job LIMIT 1
"""


def _due_job(users: str) -> Fragment:
    """Return the query for the first job that can be done now, of the ``users`` that meet a condition."""
    return fill(
        DUE_JOB,
        users=users,
        free=has_no_lease("j"),
        in_order=IN_ORDER,
        earlier_job_is_open=EARLIER_JOB_IS_OPEN,
        waits_for_nothing=all_of(
            _waits_for_nothing(kind) for kind in JOB_KINDS if kind.waits_for or kind.one_per_user
        ),
    )


# Two workers that ask at the same moment must not both find that nobody works on what is done in order: ``mine`` is
# true for one of them.
NEXT_JOB = fill(
    """
    WITH later_users AS MATERIALIZED ({later_users}), first_users AS MATERIALIZED ({first_users})
    SELECT n.*, CASE WHEN n.kind = ANY({in_order}) THEN
           pg_try_advisory_xact_lock(
               hashtextextended(CAST(:schema AS text) || ' ' || n.capability || ' ' || n.user_id, 0))
           ELSE true END AS mine
    FROM (SELECT * FROM later_users UNION ALL SELECT * FROM first_users) AS n
    """,
    later_users=_due_job("j.user_id > CAST(:after AS text)"),
    first_users=_due_job("NOT EXISTS (SELECT FROM later_users) AND j.user_id <= CAST(:after AS text)"),
    in_order=IN_ORDER,
)

# Only jobs that were tried equally often are taken together, and the fewer of them the more often they failed: what
# fails again and again ends up alone and takes no other with it. An array, because a subquery under IN may run once
# per row, and then takes more than its LIMIT.
CLAIM = """
    UPDATE {s}.jobs j SET ({lease_columns}) = ROW({new_lease}), attempts = least(j.attempts + 1, 30000)
    WHERE j.user_id = :user AND j.job = ANY(ARRAY(
        SELECT c.job FROM {s}.jobs c
        WHERE c.user_id = :user AND c.kind = :kind AND c.capability = :capability AND c.attempts = :attempts
          AND NOT c.dead AND c.run_after <= now() AND {free}
          AND {neighbors}
        ORDER BY c.job LIMIT :most FOR UPDATE SKIP LOCKED
    ))
    RETURNING j.job, j.entry, j.payload, j.attempts
"""

# Jobs of one session, up to the first that is being done, waits for its next try, or belongs to another session.
# Found once per claim, for a user may have many thousand jobs.
NEIGHBORS = fill(
    """
    c.payload ->> 'session' = CAST(:session AS text)
          AND c.job < coalesce((
              SELECT min(CASE WHEN {leased} THEN 0 ELSE o.job END) FROM {s}.jobs o
              WHERE o.user_id = :user AND o.kind = :kind AND o.capability = :capability AND NOT o.dead
                AND ({leased} OR o.attempts > 0 AND o.run_after > now()
                     OR o.run_after <= now() AND o.payload ->> 'session' <> CAST(:session AS text))
          ), 9223372036854775807)
    """,
    leased=has_lease("o"),
)


def _claim(neighbors: Fragment | str) -> Fragment:
    return fill(
        CLAIM,
        lease_columns=LEASE_COLUMNS,
        new_lease=NEW_LEASE,
        free=has_no_lease("c"),
        neighbors=neighbors,
    )


CLAIM_ANY = _claim("true")
CLAIM_NEIGHBORS = _claim(NEIGHBORS)


async def claim_jobs(
    database: Database,
    capabilities: Sequence[str],
    *,
    after: str,
    most: Mapping[str, int],
    seconds: float,
    owner: int | None = None,
) -> Claim | None:
    """Take the oldest jobs of the next user who has some that this worker can do.

    Args:
        database: Where the queue is.
        capabilities: What the worker can do.
        after: The user whose jobs the worker took last; the next one's come first.
        most: How many jobs are taken together at their first try, by kind; 1 for kinds that it does not name.
        seconds: How long the lease lasts.
        owner: The number of the process among those that are alive (`WorkerLiveness.owner`).

    Returns:
        The claim; without jobs when others took them in the meantime; None when there are none to be done now.
    """
    async with database.worker() as transaction:
        row = await transaction.first(
            NEXT_JOB, {"after": after, "capabilities": list(capabilities), "schema": database.schema}
        )
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
        if row.kind not in ORDERED_KINDS:
            rows = await transaction.all(CLAIM_ANY, params)
        elif row.mine:
            rows = await transaction.all(CLAIM_NEIGHBORS, {**params, "session": row.payload["session"]})
        else:
            rows = []
    jobs = sorted((Job(r.job, r.entry, r.payload, r.attempts) for r in rows), key=lambda job: job.job)
    return Claim(row.user_id, row.kind, row.capability, lease, tuple(jobs))
