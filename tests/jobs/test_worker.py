"""Background work: nothing lost, nothing doubled, nobody starved, whatever providers and processes do."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.errors import (
    AuthenticationError,
    ProviderResponseError,
    ProviderUnavailableError,
    RateLimitError,
)
from neuromem.memory import NeuroMemory
from neuromem.store.queue.worker_liveness import WorkerLiveness
from neuromem.testing import HashEmbedding
from tests import conftest
from tests.support.processes import Child

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from neuromem.store.database.database import Database
    from tests.support.processes import Report


def opened(address: str, **arguments: Any) -> AbstractAsyncContextManager[NeuroMemory]:
    """Open without extraction: here the work is embedding."""
    return conftest.opened(address, **{"auto_extract": False, **arguments})


QUICK = {"work": {"poll": 0.02, "retry_delay": 0.01, "max_attempts": 3}}

STATE = """
    SELECT (SELECT count(*) FROM {s}.vectors WHERE user_id = :user) AS vectors,
           (SELECT count(*) FROM {s}.jobs WHERE user_id = :user AND NOT dead) AS open,
           (SELECT count(*) FROM {s}.jobs WHERE user_id = :user AND dead) AS dead
"""


class Fake(HashEmbedding):
    """Counts as the same model as the one that filled the queue."""

    @property
    def provider(self) -> str:
        return "neuromem"


class Moody(Fake):
    """Raises what ``mood`` returns for a batch, and waits while ``gate`` is shut."""

    def __init__(self, mood: Callable[[Sequence[str]], BaseException | None] = lambda texts: None) -> None:
        super().__init__()
        self.mood = mood
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        self.entered.set()
        await self.gate.wait()
        vectors = await super().embed_batch(texts)
        if (error := self.mood(texts)) is not None:
            raise error
        return vectors


def refuse(bad: str) -> Callable[[Sequence[str]], BaseException | None]:
    return lambda texts: (
        ProviderResponseError(f"cannot embed {bad}", provider="fake")
        if any(bad in t for t in texts)
        else None
    )


async def state(database: Database, user: str = "alice") -> tuple[int, int, int]:
    """Return the user's vectors, open jobs and dead jobs."""
    async with database.user(user) as transaction:
        row = await transaction.first(STATE, {"user": user})
    assert row is not None
    return row.vectors, row.open, row.dead


async def fill(nm: NeuroMemory, count: int, user: str = "alice", text: str = "message {}") -> None:
    messages: list[Any] = [{"role": "user", "content": text.format(i)} for i in range(count)]
    await nm.conversations.add_messages_batch(user, messages)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110  the database tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
async def queue(database_url: str) -> AsyncIterator[NeuroMemory]:
    """A NeuroMemory that fills the queue and does not serve it."""
    async with opened(database_url, worker=False, settings=QUICK) as nm:
        yield nm


# Failing providers


async def test_one_bad_text_does_not_keep_the_others_from_being_embedded(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    await fill(queue, 64)
    provider = Moody(refuse("message 37"))
    async with opened(database_url, embedding=provider, settings=QUICK) as nm:
        assert await nm.drain() == 0
        assert await state(database) == (63, 0, 1)
    async with database.user("alice") as transaction:
        error = await transaction.value("SELECT error FROM {s}.jobs")
        content = await transaction.value(
            "SELECT m.content FROM {s}.messages m JOIN {s}.jobs j ON j.entry = m.entry"
        )
    assert error == "ProviderResponseError: cannot embed message 37"
    assert content == "message 37"
    assert sum("message 37" in texts[0] and len(texts) == 1 for texts in provider.calls) == 3  # max_attempts


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        ([0.5] * 63, "63 numbers where the space .* has 64"),
        ([math.nan] * 64, "finite"),
        ([math.inf] * 64, "finite"),
        ([None] * 64, "finite|numbers"),
        (["0.5"] * 64, "finite|numbers"),
        (None, "numbers"),
    ],
)
async def test_a_vector_that_cannot_be_stored_fails_its_own_job_only(
    queue: NeuroMemory, database: Database, database_url: str, vector: Any, says: str
) -> None:
    class Broken(Fake):
        async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
            vectors = await super().embed_batch(texts)
            return [vector if "3" in text else good for text, good in zip(texts, vectors, strict=True)]

    await fill(queue, 9)
    async with opened(database_url, embedding=Broken(), settings=QUICK) as nm:
        assert await nm.drain() == 0
        assert await state(database) == (8, 0, 1)
    async with database.user("alice") as transaction:
        error = await transaction.value("SELECT error FROM {s}.jobs")
    assert error.startswith("ProviderResponseError: ")
    assert re.search(says, error), error


async def test_a_provider_that_drops_texts_is_noticed(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    """Sixteen vectors for seventeen texts must not go to the wrong entries."""

    class Dropping(Fake):
        async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
            return [v for v in await super().embed_batch(texts) if any(v)]

    await fill(queue, 16)
    await queue.ingest("alice", "user", "...")  # no token, so no direction
    async with opened(database_url, embedding=Dropping(), settings=QUICK) as nm:
        assert await nm.drain() == 0
        assert await state(database) == (16, 0, 1)
        found = await nm.recall("alice", "message 7")
        assert found["vector_results"][0]["content"] == "message 7"


async def test_a_text_without_direction_has_no_vector_and_is_done(
    nm: NeuroMemory, database: Database
) -> None:
    await nm.ingest("alice", "user", "...")
    assert await nm.drain() == 0
    assert await state(database) == (0, 0, 0)
    assert (await nm.recall("alice", "anything"))["pending"] == 0


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailableError("down", provider="fake"),
        RateLimitError("slow", provider="fake"),
        AuthenticationError("key", provider="fake"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_outage_delays_and_never_kills(
    queue: NeuroMemory, database: Database, database_url: str, error: Exception
) -> None:
    await fill(queue, 100)
    down = True
    provider = Moody(lambda texts: error if down else None)
    async with opened(database_url, embedding=provider, settings=QUICK) as nm:

        async def tried_more_often_than_a_job_may_fail() -> bool:
            return len(provider.calls) > 5

        await until(tried_more_often_than_a_job_may_fail)
        vectors, waiting, dead = await state(database)
        assert (vectors, waiting, dead) == (0, 100, 0)
        down = False
        assert await nm.drain() == 0
        assert await state(database) == (100, 0, 0)


async def test_while_a_provider_is_down_it_is_asked_now_and_then_and_not_for_every_user(
    queue: NeuroMemory, database_url: str
) -> None:
    for i in range(50):
        await queue.ingest(f"user-{i}", "user", "hello")
    provider = Moody(lambda texts: ProviderUnavailableError("down", provider="fake"))
    settings = {"work": {"poll": 0.01, "retry_delay": 1000.0, "concurrency": 2}}
    async with opened(database_url, embedding=provider, settings=settings) as nm:
        await provider.entered.wait()
        assert await nm.drain(timeout=0.3) == 50
        assert len(provider.calls) <= 2  # one a loop, although none of the other users was tried
        await nm.close()


async def test_the_wait_that_a_provider_asks_for_is_kept(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    await fill(queue, 1)
    provider = Moody(lambda texts: RateLimitError("slow down", provider="fake", retry_after=600.0))
    nm = NeuroMemory(database_url, provider, "none", settings=QUICK)
    await nm.init()
    async with database.user("alice") as transaction:
        waits = (
            "SELECT extract(epoch FROM run_after - clock_timestamp()) FROM {s}.jobs WHERE error IS NOT NULL"
        )

        async def put_back() -> bool:
            return await transaction.value(waits) is not None

        await until(put_back)
        assert 590 < await transaction.value(waits) <= 600
    await nm.close()
    assert len(provider.calls) == 1


async def test_an_unexpected_error_ends_up_with_the_text_that_causes_it(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    """A third party's provider may raise anything; batches shrink with each try, and a job dies alone."""
    await fill(queue, 16)
    provider = Moody(lambda texts: ZeroDivisionError() if any("message 5" in t for t in texts) else None)
    async with opened(database_url, embedding=provider, settings=QUICK) as nm:
        assert await nm.drain() == 0
    assert await state(database) == (15, 0, 1)


# Leases


async def test_a_lease_that_ran_out_is_taken_over_and_the_late_result_is_not_stored_twice(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    await fill(queue, 5)
    late = Moody()
    late.gate.clear()
    settings = {"work": {"poll": 0.02, "concurrency": 1}}
    slow = await NeuroMemory(database_url, late, "none", settings=settings).init()
    await late.entered.wait()
    async with database.worker() as transaction:  # as if the first had been asleep for longer than its lease
        await transaction.run("UPDATE {s}.jobs SET lease_until = now() - interval '1 second'")
    async with opened(database_url, settings=QUICK) as other:
        assert await other.drain() == 0
    assert await state(database) == (5, 0, 0)
    async with database.user("alice") as transaction:
        before = await transaction.all("SELECT xmin::text, entry FROM {s}.vectors ORDER BY entry")
    late.gate.set()
    await slow.ingest("bob", "user", "so that the late one has something else to do")
    assert await slow.drain("bob") == 0
    await slow.close()
    async with database.user("alice") as transaction:
        after = await transaction.all("SELECT xmin::text, entry FROM {s}.vectors ORDER BY entry")
    assert after == before


async def hang(report: Report, url: str) -> None:
    """Take work and never finish it."""
    provider = Moody()
    provider.gate.clear()
    async with opened(url, embedding=provider, settings={"work": {"poll": 0.02, "lease": 3600}}):
        await provider.entered.wait()
        report("working")
        await asyncio.Event().wait()


async def test_the_jobs_of_a_worker_that_was_killed_are_taken_over_at_once(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    await fill(queue, 3)
    child = Child(hang, database_url)
    assert await asyncio.to_thread(child.next) == "working"
    assert await WorkerLiveness(database).expire_orphans() == 0  # it lives

    async def present() -> int:
        async with database.worker() as transaction:
            found = await transaction.value(
                "SELECT count(*) FROM {s}.jobs j JOIN pg_locks l ON l.locktype = 'advisory' AND l.objid = j.owner::oid"
            )
        return int(found)

    assert await present() == 3
    child.kill()
    async with asyncio.timeout(60):
        while await present():  # noqa: ASYNC110  the server notices in its own time
            await asyncio.sleep(0.02)
    async with opened(database_url, settings={"work": {"poll": 0.02, "lease": 3600}}) as nm:
        assert await nm.drain(timeout=60) == 0
    assert await state(database) == (3, 0, 0)


async def test_behind_a_pooler_of_transactions_only_the_lease_counts(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    await fill(queue, 1)
    provider = Moody()
    provider.gate.clear()
    async with opened(database_url, embedding=provider, pooler="transaction", settings=QUICK) as nm:
        await provider.entered.wait()
        assert await WorkerLiveness(database).expire_orphans() == 0
        provider.gate.set()
        assert await nm.drain() == 0


async def test_a_lease_is_renewed_while_the_work_goes_on(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    await fill(queue, 1)
    provider = Moody()
    provider.gate.clear()
    settings = {"work": {"poll": 0.02, "lease": 0.3}}
    async with opened(database_url, embedding=provider, settings=settings) as nm:
        await provider.entered.wait()
        async with database.user("alice") as transaction:
            first = await transaction.value("SELECT lease_until FROM {s}.jobs")

            async def renewed_past_its_end() -> bool:
                sql = "SELECT lease_until > CAST(:first AS timestamptz) + interval '0.3 s' FROM {s}.jobs"
                return bool(await transaction.value(sql, {"first": first}))

            await until(renewed_past_its_end)
        provider.gate.set()
        assert await nm.drain() == 0
    assert len(provider.calls) == 1


async def test_closing_gives_back_what_is_being_served(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    await fill(queue, 3)
    provider = Moody()
    provider.gate.clear()
    nm = await NeuroMemory(database_url, provider, "none", settings=QUICK).init()
    await provider.entered.wait()
    await nm.close()
    async with database.user("alice") as transaction:
        rows = await transaction.all("SELECT lease, lease_until, attempts, dead FROM {s}.jobs")
    assert [tuple(row) for row in rows] == [(None, None, 0, False)] * 3


async def test_closing_at_any_moment_leaves_no_lease_behind(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    for turns in range(0, 60, 3):
        await fill(queue, 2)
        nm = await NeuroMemory(database_url, HashEmbedding(), "none", settings=QUICK).init()
        for _ in range(turns):
            await asyncio.sleep(0)
        await nm.close()
        async with database.user("alice") as transaction:
            assert await transaction.value("SELECT count(*) FROM {s}.jobs WHERE lease IS NOT NULL") == 0


# Sharing


async def test_two_instances_share_a_queue_and_each_text_is_embedded_once(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    await fill(queue, 400)
    first, second = HashEmbedding(), HashEmbedding()
    settings = {"work": {"poll": 0.02, "embed_batch": 10}}
    async with (
        opened(database_url, embedding=first, settings=settings) as one,
        opened(database_url, embedding=second, settings=settings) as two,
    ):
        assert sum(await asyncio.gather(one.drain(), two.drain())) == 0
    embedded = [text for call in first.calls + second.calls for text in call]
    assert sorted(embedded) == sorted(f"message {i}" for i in range(400))
    assert first.calls
    assert second.calls
    assert await state(database) == (400, 0, 0)


async def test_a_user_with_little_is_not_behind_one_with_much(queue: NeuroMemory, database_url: str) -> None:
    await fill(queue, 200, "anna", "anna {}")
    for user in ("bert", "carl", "zoe"):
        await fill(queue, 1, user, f"{user} {{}}")
    provider = HashEmbedding()
    settings = {"work": {"poll": 0.02, "embed_batch": 10, "concurrency": 1}}
    async with opened(database_url, embedding=provider, settings=settings) as nm:
        assert await nm.drain() == 0
    turns = [call[0].split()[0] for call in provider.calls]
    assert turns[:6] == ["anna", "bert", "carl", "zoe", "anna", "anna"]


async def test_a_worker_takes_only_what_it_can_serve(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    async with database.user("alice") as transaction:
        await transaction.run(
            "INSERT INTO {s}.jobs (user_id, kind, capability) VALUES ('alice', 'embed', 'space:999'), "
            "('alice', 'dream', 'dreams')"
        )
    await fill(queue, 2)
    async with opened(database_url, settings=QUICK) as nm:
        assert await nm.drain() == 0
        assert (await nm.recall("alice", "message"))["pending"] == 2
    async with database.user("alice") as transaction:
        rows = await transaction.all("SELECT capability, attempts, lease FROM {s}.jobs ORDER BY job")
    assert [tuple(row) for row in rows] == [("space:999", 0, None), ("dreams", 0, None)]


# Draining


async def test_drain_without_own_worker_waits_for_another_process_and_tells_what_is_left(
    queue: NeuroMemory, database_url: str
) -> None:
    await fill(queue, 3)
    await fill(queue, 2, "bob")
    assert await queue.drain(timeout=0) == 5
    assert await queue.drain("bob", timeout=0) == 2
    assert await queue.drain("nobody") == 0
    waiting = asyncio.create_task(queue.drain())
    async with opened(database_url, settings=QUICK):
        assert await waiting == 0


async def test_drain_of_one_user_does_not_wait_for_the_others(queue: NeuroMemory, database_url: str) -> None:
    await fill(queue, 1, "alice")
    await fill(queue, 1, "zoe", "stuck {}")
    provider = Moody(
        lambda texts: ProviderUnavailableError("x", provider="f") if "stuck 0" in texts else None
    )
    async with opened(database_url, embedding=provider, settings=QUICK) as nm:
        assert await nm.drain("alice") == 0
        assert await nm.drain("zoe", timeout=0.1) == 1
        provider.mood = lambda texts: None
        assert await nm.drain() == 0


async def test_drain_does_not_wait_for_the_dead(
    queue: NeuroMemory, database: Database, database_url: str
) -> None:
    await fill(queue, 2)
    async with database.user("alice") as transaction:
        await transaction.run("UPDATE {s}.jobs SET dead = true WHERE job = (SELECT min(job) FROM {s}.jobs)")
    async with opened(database_url, settings=QUICK) as nm:
        assert await nm.drain() == 0
    assert await state(database) == (1, 0, 1)


async def test_a_drain_misses_no_wake_up(database_url: str) -> None:
    """With a poll of ten minutes any missed one would be a hang."""
    async with opened(database_url, settings={"work": {"poll": 600.0}}) as nm:
        for i in range(100):
            await nm.ingest("alice", "user", f"message {i}")
            async with asyncio.timeout(60):
                assert await nm.drain() == 0


async def test_leaving_waits_for_the_work_and_an_error_does_not(
    database: Database, database_url: str
) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, 50)
    assert await state(database) == (50, 0, 0)
    provider = Moody()
    provider.gate.clear()
    with contextlib.suppress(KeyError):
        async with opened(database_url, embedding=provider, settings=QUICK) as nm:
            await fill(nm, 1)
            raise KeyError
    assert await state(database) == (50, 1, 0)
