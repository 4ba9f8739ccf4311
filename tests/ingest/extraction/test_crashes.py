"""Workers killed with -9 at every point: each message is extracted exactly once, nothing doubled, nothing lost.

More rounds, over turns of LoCoMo instead of made-up ones:

    CRASH_ROUNDS=50 CRASH_DATA=locomo.json python -m pytest tests/ingest/extraction/test_crashes.py
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.support import datasets
from neuromem.ingest.extraction.llm_extractor import RULE
from neuromem.plugin import LLMProvider
from neuromem.testing.internals import database_of
from tests.conftest import opened
from tests.ingest.extraction.model import answering, echo
from tests.support.processes import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.plugin import ChatMessage
    from tests.support.http_server import HttpServer, Reply, Request

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "12"))
DATA = os.environ.get("CRASH_DATA")
USERS = ("alice", "bob", "carol")
POINTS = ("before the call", "during it", "after the reply", "after the commit")
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
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float = 0.1,
        max_tokens: int = 2048,
        json_schema: Mapping[str, Any] | None = None,
    ) -> str:
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

    async with opened(url, llm=model, settings=SETTINGS, reflection_interval=0, on_extraction=done) as nm:
        await nm.drain()
        report("finished")
        await asyncio.Event().wait()


def turns() -> dict[str, list[str]]:
    """What each user says, no two the same; what sounds like a rule is left out, for it is stored as a quotation."""
    if DATA is None:
        return {user: [f"{user} said {i}" for i in range(ROUNDS)] for user in USERS}
    said = {}
    for user, conversation in zip(USERS, datasets.load(Path(DATA)).conversations, strict=False):
        texts = dict.fromkeys(" ".join(turn.text.split()) for turn in conversation.turns)
        said[user] = [text for text in texts if not RULE.match(text)][:ROUNDS]
    return said


async def test_workers_killed_at_any_point_extract_everything_exactly_once(
    database_url: str, model: HttpServer
) -> None:
    chance = random.Random(4)
    called = threading.Event()

    def answer(request: Request) -> Reply:
        called.set()
        return answering(echo)(request)

    model.always = answer
    said = turns()
    points = [*chance.sample(POINTS, len(POINTS)), *(chance.choice(POINTS) for _ in range(ROUNDS))][:ROUNDS]
    async with opened(
        database_url, llm=Telling(_Never(), lambda point: None), reflection_interval=0, worker=False
    ) as nm:
        killed: dict[str, int] = {}
        for turn, point in enumerate(points):
            for user in USERS:
                await nm.ingest(user, "user", said[user][turn], f"s{turn // 10}")
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
        print(f"killed: {killed}")
        assert len(killed) >= 4, killed
        for user in USERS:
            async with database_of(nm).user(user) as transaction:
                rows = await transaction.all(
                    "SELECT m.content, count(DISTINCT s.message_id) AS sources, count(*) AS rows FROM {s}.memories m "
                    "JOIN {s}.memory_sources s USING (user_id, memory_id, version) GROUP BY m.content"
                )
                states = await transaction.all(
                    "SELECT state, count(*) AS n FROM {s}.extractions GROUP BY state"
                )
                jobs = await transaction.value("SELECT count(*) FROM {s}.jobs")
            assert sorted(row.content for row in rows) == sorted(said[user])
            assert {(row.sources, row.rows) for row in rows} == {(1, 1)}
            assert [(row.state, row.n) for row in states] == [("done", ROUNDS)]
            assert jobs == 0


class _Never(LLMProvider):
    model = "never"

    async def chat(self, *args: Any, **options: Any) -> str:
        raise AssertionError("this process does not work")
