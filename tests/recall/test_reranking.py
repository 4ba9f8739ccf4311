"""A reranker orders what one user's question found, sees nothing of others, and is off unless named."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from neuromem import RecallError
from neuromem.plugin import StageSpec, hookimpl
from tests.conftest import opened
from tests.support.http_server import HttpServer, Reply, Request, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import RetrievedItem
    from neuromem.memory import NeuroMemory
    from neuromem.plugin.stages import Reranker

SAID = ("The cat likes tuna", "The cat sleeps all day", "A cat was seen in the garden")


class Shortest:
    """Prefers short texts, and keeps what it was shown for whom."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, set[str]]] = []
        self.short_by = 0

    @hookimpl
    def neuromem_rerankers(self) -> list[StageSpec[Reranker]]:
        return [StageSpec("shortest", lambda ctx: self, "Short texts first")]

    async def rerank(self, query: Query, hits: Sequence[RetrievedItem]) -> Sequence[float]:
        await asyncio.sleep(0)  # lets another user's recall run in between
        self.shown.append((query.user_id, {hit.content for hit in hits}))
        return [1.0 / len(hit.content) for hit in hits][self.short_by :]


async def told(nm: NeuroMemory, user: str) -> None:
    await nm.conversations.add_messages_batch(
        user, [{"role": "user", "content": f"{text}, {user} said"} for text in SAID]
    )


async def test_users_at_the_same_time_are_reranked_apart(database_url: str) -> None:
    reranker = Shortest()
    settings = {"recall": {"rerankers": ["shortest"]}}
    async with opened(database_url, plugins=[reranker], settings=settings) as nm:
        users = [f"user{i}" for i in range(6)]
        await asyncio.gather(*(told(nm, user) for user in users))
        answers = await asyncio.gather(*(nm.recall(user, "cat", explain=True) for user in users))
    for user, answer in zip(users, answers, strict=True):
        contents = [item["content"] for item in answer["merged"]]
        assert contents == [f"{text}, {user} said" for text in sorted(SAID, key=len)]
        assert {"shortest"} <= answer["merged"][0]["explain"]["signals"].keys()
    for user, shown in reranker.shown:
        assert all(content.endswith(f"{user} said") for content in shown)


def judge(request: Request) -> Reply:
    """Judge a document by its length, best first."""
    scores = [(len(text) / 100, index) for index, text in enumerate(request.json["documents"])]
    return Reply({"results": [{"index": i, "relevance_score": s} for s, i in sorted(scores, reverse=True)]})


@pytest.fixture
def siliconflow() -> Iterator[HttpServer]:
    """Answers like SiliconFlow's rerank endpoint."""
    with running_server() as server:
        server.always = judge
        yield server


async def test_recall_is_reranked_over_http_when_settings_name_it(
    siliconflow: HttpServer, database_url: str
) -> None:
    options = {"siliconflow": {"api_key": "sk-flow", "base_url": siliconflow.url}}
    told = ["tea", "tea in the morning, with milk", "tea at noon"]
    async with opened(database_url, worker=False, settings={"plugins": options}) as nm:
        for text in told:
            await nm.add_memory("alice", text, "fact")
        await nm.recall("alice", "tea?")
        assert siliconflow.requests == []  # off unless named
    settings = {"plugins": options, "recall": {"rerankers": ["siliconflow"]}}
    async with opened(database_url, worker=False, settings=settings) as nm:
        found = await nm.recall("alice", "tea?", limit=2, explain=True)
        assert [item["content"] for item in found["merged"]] == sorted(told, key=len, reverse=True)[:2]
        assert [item["score"] for item in found["merged"]] == [0.29, 0.11]
        assert found["merged"][0]["explain"]["signals"]["siliconflow"] == 0.29
        siliconflow.always = Reply({"message": "overloaded"}, status=400)
        with pytest.raises(RecallError, match="siliconflow") as caught:
            await nm.recall("alice", "tea?")
        assert "sk-flow" not in str(caught.value)
        answered = await nm.recall("alice", "tea?", on_arm_error="skip")
        assert (answered["skipped"], len(answered["merged"])) == (["siliconflow"], 3)
    assert {request.json["query"] for request in siliconflow.requests} == {"tea?"}


async def test_it_is_off_unless_named_and_one_that_miscounts_is_an_error(database_url: str) -> None:
    reranker = Shortest()
    async with opened(database_url, plugins=[reranker]) as nm:
        await told(nm, "alice")
        await nm.recall("alice", "cat")
    assert reranker.shown == []
    reranker.short_by = 1
    settings = {"recall": {"rerankers": ["shortest"]}}
    async with opened(database_url, plugins=[reranker], settings=settings) as nm:
        with pytest.raises(RecallError, match=r"'shortest' failed.*2 numbers for 3 hits"):
            await nm.recall("alice", "cat")


async def test_an_unrelated_question_returns_nothing_with_min_score(nm: NeuroMemory) -> None:
    await told(nm, "alice")
    await nm.add_memory("alice", "Alice keeps bees on the roof", "fact")
    await nm.drain()
    nothing = await nm.recall("alice", "boiling point of tungsten", min_score=0.5)
    assert nothing["merged"] == []
    found = await nm.recall("alice", "Who keeps bees?", min_score=0.5)
    assert [item["content"] for item in found["merged"]] == ["Alice keeps bees on the roof"]
    assert all(item["relevance"] >= 0.5 for item in found["merged"])
