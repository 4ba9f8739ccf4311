"""Digests killed with -9 at every point: each memory is analyzed once, as stored, and nothing is left out."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from neuromem.plugin import LLMProvider
from neuromem.plugin.http import Retry
from neuromem.testing.internals import database_of
from neuromem_openai import OpenAILLM
from tests.conftest import opened
from tests.digest.model import digest, insight
from tests.ingest.extraction.model import answering, llm
from tests.ingest.extraction.test_crashes import Telling
from tests.support.http_server import Reply
from tests.support.processes import Child

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from neuromem.plugin import ChatMessage
    from tests.support.http_server import HttpServer

MEMORIES, BATCH = 40, 3
SETTINGS = {"work": {"lease": 0.3, "poll": 0.02, "retry_delay": 0.01}}


async def work(report: Callable[[str], None], url: str, address: str, background: bool) -> None:
    """Digest until killed."""
    model = Telling(OpenAILLM("key", "test-model", address, retry=Retry(attempts=1)), report)
    options: dict[str, Any] = {"llm": model, "auto_extract": False, "settings": SETTINGS}
    async with opened(url, **options) as nm:
        if background:
            await nm.digest("alice", batch_size=BATCH, background=True)
            await nm.drain()
        else:
            await nm.digest("alice", batch_size=BATCH, progress=lambda told: report("after the commit"))
        report("finished")
        await asyncio.Event().wait()


class Interrupted(LLMProvider):
    """While it thinks, something happens."""

    model = "interrupted"

    def __init__(self) -> None:
        self.meanwhile: Callable[[], Awaitable[object]] = _nothing

    async def chat(self, messages: Sequence[ChatMessage], **options: Any) -> str:
        meanwhile, self.meanwhile = self.meanwhile, _nothing
        await meanwhile()
        return json.dumps({"insights": [insight("Concluded", ["m1", "m2"])], "state": "Fine"})


async def _nothing() -> None:
    return


async def test_what_happens_while_the_model_thinks_is_respected(database_url: str) -> None:
    model = Interrupted()
    async with opened(database_url, llm=model, auto_extract=False) as nm:
        # A memory that is gone by then is no evidence.
        first, second = [await nm.add_memory("alice", text) for text in ("Runs", "Swims")]
        model.meanwhile = lambda: nm.delete_memory("alice", first.id)
        (found,) = (await digest(nm, "alice"))["insights"]
        assert found["source_ids"] == [second.id]

        # One that was changed is looked at again.
        third = await nm.add_memory("alice", "Rides")
        model.meanwhile = lambda: nm.update_memory("alice", third.id, "Rides a horse")
        assert (await digest(nm, "alice"))["memories_analyzed"] == 2

        # Another process believes this one dead, and dies itself: what this one found is asked for again.
        await nm.add_memory("alice", "Climbs")

        async def take_over() -> None:
            async with database_of(nm).user("alice") as transaction:
                await transaction.run("UPDATE {s}.digests SET lease = gen_random_uuid(), lease_until = now()")

        model.meanwhile = take_over
        assert (await digest(nm, "alice"))["memories_analyzed"] == 1
        assert (await nm.stats("alice"))["undigested"] == 0

        # The user leaves.
        await nm.add_memory("bob", "Runs")
        model.meanwhile = lambda: nm.delete_user_data("bob")
        assert (await digest(nm, "bob"))["memories_analyzed"] == 0
        assert await nm.verify_deleted("bob") == {"rows": 0, "objects_pending": 0}


async def dies_while_it_thinks(report: Callable[[str], None], url: str, address: str) -> None:
    """Begin to digest, with the lease that is usual."""
    model = Telling(OpenAILLM("key", "test-model", address, retry=Retry(attempts=1)), report)
    async with opened(url, llm=model, auto_extract=False, worker=False) as nm:
        await nm.digest("alice")


async def test_who_was_killed_while_digesting_is_not_waited_for(database_url: str, model: HttpServer) -> None:
    thinking = threading.Event()
    model.script(Reply(hold=thinking))
    model.always = answering(one_each)
    async with opened(database_url, llm=llm(model), auto_extract=False) as nm:
        await nm.add_memory("alice", "Memory")
        child = Child(dies_while_it_thinks, database_url, f"{model.url}/v1")
        await asyncio.to_thread(model.wait_for, 1)
        async with database_of(nm).user("alice") as transaction:
            left = await transaction.value("SELECT lease_until - now() FROM {s}.digests")
        assert left > timedelta(seconds=20)  # nobody waits for that here
        child.kill()
        async with asyncio.timeout(20):
            assert (await digest(nm, "alice"))["memories_analyzed"] == 1


def one_each(shown: dict[str, Any]) -> dict[str, Any]:
    """An insight of each memory: whoever analyzes it again tells."""
    return {
        "insights": [insight(f"Shows {memory['content']}", [memory["id"]]) for memory in shown["memories"]]
    }


async def test_a_digest_killed_at_any_point_goes_on_where_it_was(
    database_url: str, model: HttpServer
) -> None:
    chance = random.Random(5)
    model.always = answering(one_each)
    async with opened(database_url) as nm:
        for n in range(MEMORIES):
            await nm.add_memory("alice", f"Memory {n}")
        points = ["before the call", "after the reply", "after the commit"]
        for turn in range(6):
            child = Child(work, database_url, f"{model.url}/v1", turn % 3 == 2)
            point = points[turn % 3] if turn % 3 != 2 else "after the reply"
            while (reached := await asyncio.to_thread(child.next)) not in (point, "finished"):
                pass
            await asyncio.sleep(chance.choice([0.0, 0.002, 0.01]))  # anywhere in what follows that point
            child.kill()
            assert reached != "finished"
        child = Child(work, database_url, f"{model.url}/v1", False)
        while await asyncio.to_thread(child.next) != "finished":
            pass
        child.kill()
        found = await nm.insights("alice", limit=1_000)
        assert sorted(one["content"] for one in found) == sorted(f"Shows Memory {n}" for n in range(MEMORIES))
        assert {len(one["source_ids"]) for one in found} == {1}
        assert (await nm.stats("alice"))["undigested"] == 0
        async with database_of(nm).user("alice") as transaction:
            assert await transaction.value("SELECT count(*) FROM {s}.evidence") == MEMORIES
            assert await transaction.value("SELECT max(version) FROM {s}.memories") == 1
