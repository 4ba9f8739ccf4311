"""The heartbeat renews a lease while it is held, survives failures of the database, and ends when the lease is lost."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.errors import DatabaseUnavailableError
from neuromem.jobs.heartbeat import heartbeat
from neuromem.store.database.users import begin_write
from neuromem.store.memories.digest_queue import DIGESTS, new_digest_lease
from neuromem.store.queue.job_kinds import OBJECT
from neuromem.store.queue.jobs import acknowledge_jobs, add_held_job
from neuromem.store.queue.lease import LEASE_COLUMNS, NEW_LEASE, renew_lease

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.queue.jobs import Claim
    from neuromem.store.queue.lease import Lease

LEASE = 0.15  # seconds


class Watched:
    """A database that counts transactions, and fails the first ones."""

    def __init__(self, database: Database, failures: int = 0) -> None:
        self._database = database
        self._failures = failures
        self.transactions = 0

    @asynccontextmanager
    async def user(self, user_id: str) -> AsyncIterator[Transaction]:
        self.transactions += 1
        if self.transactions <= self._failures:
            raise DatabaseUnavailableError("down")
        async with self._database.user(user_id) as transaction:
            yield transaction


async def held_job(database: Database) -> Claim:
    async with database.user("alice") as transaction:
        await begin_write(transaction, "alice")
        return await add_held_job(transaction, "alice", OBJECT, "storage:x", {"key": "k"}, LEASE)


async def held_digest(database: Database) -> Lease:
    lease = new_digest_lease("alice")
    async with database.user("alice") as transaction:
        await begin_write(transaction, "alice")
        await transaction.run(
            f"INSERT INTO {{s}}.digests (user_id, {LEASE_COLUMNS}) SELECT :user, {NEW_LEASE}",
            {**lease.parameters, "seconds": LEASE, "owner": None},
        )
    return lease


async def remaining(database: Database, table: str) -> float:
    async with database.user("alice") as transaction:
        sql = f"SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM {{s}}.{table}"
        return float(await transaction.value(sql))


@pytest.mark.parametrize("table", ["jobs", "digests"])
async def test_a_lease_of_either_kind_lasts_as_long_as_its_heartbeat(database: Database, table: str) -> None:
    lease = (await held_job(database)).lease if table == "jobs" else await held_digest(database)
    assert lease.table.name == table
    watched: Any = Watched(database)
    with heartbeat(watched, lease, 60.0 * LEASE):
        async with asyncio.timeout(60):
            while watched.transactions < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while await remaining(database, table) < 30.0 * LEASE:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    before = watched.transactions
    await asyncio.sleep(0.01)
    assert watched.transactions == before


async def test_a_renewal_that_fails_is_logged_and_tried_again(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    claim = await held_job(database)
    watched: Any = Watched(database, failures=2)
    with caplog.at_level(logging.WARNING, "neuromem"), heartbeat(watched, claim.lease, LEASE):
        async with asyncio.timeout(60):
            while watched.transactions < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    logged = [record.getMessage() for record in caplog.records]
    assert logged == ["A lease of user 'alice' in jobs could not be renewed."] * 2


async def test_the_heartbeat_ends_when_the_lease_is_lost_and_the_work_goes_on(database: Database) -> None:
    claim = await held_job(database)
    async with database.user("alice") as transaction:  # as another worker does
        await transaction.run("UPDATE {s}.jobs SET lease = gen_random_uuid()")
    watched: Any = Watched(database)
    with heartbeat(watched, claim.lease, LEASE):
        await asyncio.sleep(4 * LEASE)
        assert watched.transactions == 1
    async with database.user("alice") as transaction:
        assert await acknowledge_jobs(transaction, claim) == set()


async def test_a_lease_is_renewed_only_by_who_holds_it(database: Database) -> None:
    lease = await held_digest(database)
    async with database.user("alice") as transaction:
        assert await renew_lease(transaction, lease, 60.0)
        assert not await renew_lease(transaction, new_digest_lease("alice"), 60.0)
        await transaction.run(DIGESTS.release(), lease.parameters)
        assert not await renew_lease(transaction, lease, 60.0)
