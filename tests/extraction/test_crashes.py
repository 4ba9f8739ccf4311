"""Workers killed with -9 at every point: each message is extracted exactly once, nothing doubled, nothing lost."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING, Any

from neuromem.plugin import LLMProvider
from tests.conftest import opened
from tests.extraction.model import answering, echo
from tests.support.processes import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.plugin import ChatMessage
    from tests.support.http_server import HttpServer, Reply, Request

ROUNDS = 50
USERS = ("alice", "bob", "carol")
SETTINGS = {"work": {"lease": 0.3, "poll": 0.02, "retry_delay": 0.01, "extract_batch": 2, "concurrency": 2}}


class Telling(LLMProvider):
    """Tells before and after each call."""

    def __init__(self, inner: LLMProvider, tell: Callable[[str], None]) -> None:
        self._inner = inner
        self._tell = tell

    @property
    def model(self) -> str:
        return self._inner.model

    async def chat(
        self, messages: Sequence[ChatMessage], *, temperature: float = 0.1, max_tokens: int = 2048,
        json_schema: Mapping[str, Any] | None = None,
    ) -> str:  # fmt: skip
        self._tell("before the call")
        reply = await self._inner.chat(
            messages, temperature=temperature, max_tokens=max_tokens, json_schema=json_schema
        )
        self._tell("after the reply")
        return reply


async def work(report: Callable[[str], None], url: str, address: str) -> None:
    """Extract until killed."""
    from neuromem.plugin.http import Retry
    from neuromem_openai import OpenAILLM

    model = Telling(OpenAILLM("key", "test-model", address, retry=Retry(attempts=1)), report)

    def done(payload: Mapping[str, Any]) -> None:
        report("after the commit")

    async with opened(url, llm=model, settings=SETTINGS, on_extraction=done) as nm:
        await nm.drain()
        report("finished")
        await asyncio.Event().wait()


async def test_workers_killed_at_any_point_extract_everything_exactly_once(
    database_url: str, model: HttpServer
) -> None:
    chance = random.Random(4)
    called = threading.Event()

    def answer(request: Request) -> Reply:
        called.set()
        return answering(echo)(request)

    model.always = answer
    async with opened(database_url, llm=Telling(_Never(), lambda point: None), worker=False) as nm:
        killed: dict[str, int] = {}
        for turn in range(ROUNDS):
            for user in USERS:
                await nm.ingest(user, "user", f"{user} said {turn}", f"s{turn // 10}")
            point = chance.choice(["before the call", "during it", "after the reply", "after the commit"])
            child = Child(work, database_url, f"{model.url}/v1")
            called.clear()
            reached = ""
            while reached not in (point, "finished"):
                if point == "during it":
                    await asyncio.to_thread(called.wait, 60)
                    reached = point
                else:
                    reached = await asyncio.to_thread(child.next)
            await asyncio.sleep(chance.choice([0.0, 0.002, 0.01]))  # anywhere in what follows that point
            child.kill()
            killed[reached] = killed.get(reached, 0) + 1
        child = Child(work, database_url, f"{model.url}/v1")
        while await asyncio.to_thread(child.next) != "finished":
            pass
        child.kill()
        assert len(killed) >= 4, killed
        for user in USERS:
            async with nm._open_rooms.database.user(user) as transaction:
                rows = await transaction.all(
                    "SELECT m.content, count(DISTINCT s.message_id) AS sources, count(*) AS rows FROM {s}.memories m "
                    "JOIN {s}.memory_sources s USING (user_id, memory_id, version) GROUP BY m.content"
                )
                states = await transaction.all(
                    "SELECT state, count(*) AS n FROM {s}.extractions GROUP BY state"
                )
                jobs = await transaction.value("SELECT count(*) FROM {s}.jobs")
            assert sorted(row.content for row in rows) == sorted(f"{user} said {i}" for i in range(ROUNDS))
            assert {(row.sources, row.rows) for row in rows} == {(1, 1)}
            assert [(row.state, row.n) for row in states] == [("done", ROUNDS)]
            assert jobs == 0


class _Never(LLMProvider):
    model = "never"

    async def chat(self, *args: Any, **options: Any) -> str:
        raise AssertionError("this process does not work")
