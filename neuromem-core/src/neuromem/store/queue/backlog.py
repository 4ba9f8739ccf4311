"""The backlog: how many jobs wait, which `drain` waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.store.database.sql import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.store.database.database import Database

OF_USER = "user_id = :user"
OF_EVERYBODY = "true"

# What was never tried and is not due yet waits on purpose, such as messages whose session goes on: it is not counted.
SERVABLE = "capability = ANY(CAST(:capabilities AS text[])) AND (attempts > 0 OR run_after <= now())"

COUNT = """
    SELECT count(*) AS open, count(*) FILTER (WHERE {servable}) AS servable
    FROM {s}.jobs WHERE {whose} AND NOT dead
"""
COUNT_USER = fill(COUNT, servable=SERVABLE, whose=OF_USER)
COUNT_ALL = fill(COUNT, servable=SERVABLE, whose=OF_EVERYBODY)

ANY = "SELECT EXISTS (SELECT FROM {s}.jobs WHERE {whose} AND NOT dead AND {servable})"
ANY_OF_USER = fill(ANY, servable=SERVABLE, whose=OF_USER)
ANY_AT_ALL = fill(ANY, servable=SERVABLE, whose=OF_EVERYBODY)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many jobs wait.

    Attributes:
        open: Jobs that are not dead.
        servable: Those of them that are due and need a capability that was asked about.
    """

    open: int
    servable: int


async def count_backlog(
    database: Database, capabilities: Sequence[str], user_id: str | None = None
) -> Backlog:
    """Count the jobs that wait, of one user or of all."""
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
    """Return whether any job waits that needs one of ``capabilities``, of one user or of all."""
    scope = database.worker() if user_id is None else database.user(user_id)
    async with scope as transaction:
        return bool(
            await transaction.value(
                ANY_AT_ALL if user_id is None else ANY_OF_USER,
                {"user": user_id, "capabilities": list(capabilities)},
            )
        )
