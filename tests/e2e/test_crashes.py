"""``kill -9`` at any step: every message once, every one indexed and embedded once, in the end."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.testing import HashEmbedding
from tests.conftest import opened
from tests.support.processes import Child

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.processes import Report

ROUNDS = 20
MESSAGES = 120
# A killed worker's lease runs out soon, so that nobody waits for it here.
SETTINGS = {"work": {"poll": 0.02, "lease": 1.0, "embed_batch": 7, "concurrency": 2}}


class Reporting(HashEmbedding):
    """Tells that it was called, and lets others run before it answers."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    @property
    def provider(self) -> str:
        return "neuromem"

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        self._report("embedding")
        await asyncio.sleep(0)
        vectors = await super().embed_batch(texts)
        self._report("embedded")
        return vectors


async def import_history(report: Report, url: str) -> None:
    """What a user's import does: begin anew, with the same keys, singles and batches, from several tasks."""

    async def part(first: int) -> None:
        for start in range(first, MESSAGES, 30):
            keyed: list[Any] = [
                {"role": "user", "content": f"message number {i}", "idempotency_key": f"key {i}"}
                for i in range(start, start + 10)
            ]
            await nm.ingest("alice", session_id="s", **keyed[0])
            await nm.conversations.add_messages_batch("alice", keyed, "s")
            report("stored")

    async with opened(url, embedding=Reporting(report), settings=SETTINGS) as nm:
        report("open")
        await asyncio.gather(part(0), part(10), part(20))
        await nm.drain()
    report("done")


async def everything_is_there_once(url: str, count: int) -> None:
    database = Database(parse_dsn(url))
    try:
        async with database.user("alice") as transaction:
            contents = await transaction.all("SELECT content, position FROM {s}.messages ORDER BY position")
            entries = await transaction.value("SELECT count(DISTINCT item) FROM {s}.entries WHERE kind = 'm'")
            posted = await transaction.value("SELECT count(DISTINCT entry) FROM {s}.postings")
            counted = await transaction.value("SELECT entries FROM {s}.corpora WHERE kind = 'm'")
            vectors = await transaction.all("SELECT entry FROM {s}.vectors")
            jobs = await transaction.value("SELECT count(*) FROM {s}.jobs WHERE kind = 'embed'")
    finally:
        await database.close()
    assert sorted(row.content for row in contents) == sorted(f"message number {i}" for i in range(count))
    assert [row.position for row in contents] == list(range(count))
    assert (entries, posted, counted, jobs) == (count, count, count, 0)
    assert len(vectors) == count == len({row.entry for row in vectors})


def test_an_import_killed_twenty_times_is_whole_in_the_end(database_url: str) -> None:
    chance = random.Random(11)
    deaths: dict[str, int] = {}
    for _ in range(ROUNDS):
        child = Child(import_history, database_url)
        report = child.next()
        for _ in range(chance.randrange(25)):
            if (report := child.next()) == "done":
                break
        child.kill()
        deaths[report] = deaths.get(report, 0) + 1
    assert {"stored", "embedding"} <= set(deaths)  # it died at many places
    rest = Child(import_history, database_url).rest()
    assert rest[-1] == "done"
    asyncio.run(everything_is_there_once(database_url, MESSAGES))


async def work(report: Report, url: str) -> None:
    async with opened(url, embedding=Reporting(report), settings=SETTINGS) as nm:
        await nm.drain()
    report("done")


def test_workers_killed_while_they_embed_leave_each_entry_embedded_once(database_url: str) -> None:
    async def fill() -> None:
        async with opened(database_url, worker=False) as nm:
            messages: list[Any] = [{"role": "user", "content": f"message number {i}"} for i in range(1_000)]
            await nm.conversations.add_messages_batch("alice", messages)

    asyncio.run(fill())
    chance = random.Random(13)
    killed_at_work = 0
    for _ in range(ROUNDS):
        child = Child(work, database_url)
        for _ in range(chance.randrange(1, 12)):
            if (report := child.next()) == "done":
                break
        killed_at_work += report != "done"
        child.kill()
    assert killed_at_work == ROUNDS
    assert Child(work, database_url).rest()[-1] == "done"
    asyncio.run(everything_is_there_once(database_url, 1_000))
