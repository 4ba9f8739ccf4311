"""Digests that nobody waits for: their rhythm, their order, their failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.domain.memories import NewMemory
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.errors import BudgetError, ProviderError
from neuromem.store.memories.digest_queue import count_undigested
from neuromem.store.memories.write import insert_memory
from neuromem.testing.internals import database_of
from tests.conftest import opened
from tests.digest.conftest import FAST
from tests.digest.model import by_word, insight, saying
from tests.ingest.extraction.model import answering, asked, completion, echo, llm
from tests.support.http_server import Reply

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer, Request


def either(request: Request) -> Reply:
    """Extract or digest, as asked."""
    return answering(echo if "conversation" in asked(request) else by_word)(request)


def digests(model: HttpServer) -> list[dict[str, Any]]:
    """What the model was shown for digests."""
    return [shown for request in model.requests if "memories" in (shown := asked(request))]


async def queued(nm: NeuroMemory, user: str = "alice") -> dict[str, int]:
    stats = await nm.stats(user)
    return dict(stats["queue"].get("digest", {}))


async def test_background_returns_at_once_and_the_work_is_done_by_a_worker(nm: NeuroMemory) -> None:
    await nm.add_memory("alice", "Runs fast")
    assert await nm.digest("alice", background=True) is None
    assert await nm.digest("alice", background=True) is None
    await nm.drain()
    assert [one["content"] for one in await nm.insights("alice")] == ["Often Runs"]
    assert await queued(nm) == {}


async def test_every_n_messages_of_the_user_in_whatever_process(database_url: str, model: HttpServer) -> None:
    model.always = either
    options: dict[str, Any] = {"llm": llm(model), "reflection_interval": 3, "settings": FAST, "worker": False}
    async with opened(database_url, **options) as nm:
        await nm.ingest("alice", "user", "One")
        await nm.ingest("alice", "assistant", "Not counted")
        await nm.ingest("bob", "user", "Not hers")
    async with opened(database_url, **options) as nm, opened(database_url, **options) as other:
        await nm.ingest("alice", "user", "Two", idempotency_key="two")
        await nm.ingest("alice", "user", "Two", idempotency_key="two")
        assert await queued(nm) == {}
        await other.ingest("alice", "user", "Three")
        assert (await queued(nm))["waiting"] == 1
        assert (await nm.stats("alice"))["memories"] == 0
        for text in ("Four", "Five", "Six"):  # at most one waits
            await nm.ingest("alice", "user", text)
        assert (await queued(nm))["waiting"] == 1
        nm.reflection_interval = 0
        await nm.conversations.add_messages_batch(
            "bob", [{"role": "user", "content": str(n)} for n in range(9)]
        )
        assert await queued(nm, "bob") == {}
        nm.reflection_interval = 5
        await nm.conversations.add_messages_batch(
            "bob", [{"role": "user", "content": str(n)} for n in range(9)]
        )
        assert (await queued(nm, "bob"))["waiting"] == 1
    async with opened(database_url, **{**options, "worker": True}) as nm:
        await nm.drain()
        # Everything was extracted before it was digested, in one go.
        assert sorted(len(shown["memories"]) for shown in digests(model)) == [6, 10]
        assert len(await nm.insights("alice")) == 6


async def test_a_model_that_is_down_leaves_all_undigested_and_says_so_until_it_is_up(
    nm: NeuroMemory, model: HttpServer
) -> None:
    events: list[Any] = []
    nm.on_digest = events.append
    for n in range(5):
        await nm.add_memory("alice", f"Runs {n}")
    model.always = lambda request: Reply({"error": {"message": "overloaded"}}, status=503)
    with pytest.raises(ProviderError):
        await nm.digest("alice", batch_size=2)
    assert events[-1]["error"].startswith("ProviderUnavailableError")
    assert events[-1]["memories_analyzed"] == 0
    once = iter([answering(by_word)])
    model.always = lambda request: (
        told(request) if (told := next(once, None)) else Reply({"error": {}}, status=500)
    )
    with pytest.raises(ProviderError) as failed:
        await nm.digest("alice", batch_size=2)
    assert "2 memories of user 'alice' were digested" in failed.value.__notes__[0]
    model.always = answering(by_word)
    result = await nm.digest("alice", batch_size=2)
    assert result is not None
    assert result["memories_analyzed"] == 3
    shown = [memory["content"] for told in digests(model) for memory in told["memories"]]
    assert sorted(set(shown)) == [f"Runs {n}" for n in range(5)]
    (known,) = await nm.insights("alice")
    assert len(known["source_ids"]) == 5
    assert (await nm.usage("alice"))["digest"]["failures"] == 2


async def test_a_background_digest_is_tried_again_and_its_failure_is_to_be_seen(
    nm: NeuroMemory, model: HttpServer
) -> None:
    events: list[Any] = []
    told = asyncio.Event()

    def tell(event: Any) -> None:
        events.append(event)
        told.set()

    nm.on_digest = tell
    model.always = lambda request: Reply({"error": {"message": "down"}}, status=503)
    await nm.add_memory("alice", "Runs fast")
    await nm.digest("alice", background=True)
    await asyncio.wait_for(told.wait(), 30)
    assert events[0]["error"] is not None
    model.always = answering(by_word)
    await nm.drain()
    assert events[-1] == {**events[-1], "error": None, "memories_analyzed": 1, "insights_generated": 1}
    assert len(await nm.insights("alice")) == 1


async def test_two_digests_at_once_analyze_each_memory_once(database_url: str, model: HttpServer) -> None:
    async with (
        opened(database_url, llm=llm(model), auto_extract=False, settings=FAST) as nm,
        opened(database_url, llm=llm(model), auto_extract=False, settings=FAST) as other,
    ):
        for n in range(30):
            await nm.add_memory("alice", f"Word{n % 3} {n}")
        results = await asyncio.gather(*(one.digest("alice", batch_size=4) for one in (nm, other, nm, other)))
        assert sum(result["memories_analyzed"] for result in results if result) == 30
        assert sum(result["insights_generated"] for result in results if result) == 3
        shown = [memory["content"] for told in digests(model) for memory in told["memories"]]
        assert len(shown) == len(set(shown)) == 30
        assert sorted(len(one["source_ids"]) for one in await nm.insights("alice")) == [10, 10, 10]


async def test_a_digest_that_was_cut_off_is_asked_for_again_and_its_last_insight_not_believed(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await nm.add_memory("alice", "Runs fast")
    cut = '{"insights": [{"content": "Runs", "evidence": ["m1"]}, {"evidence": ["m1"], "content": "Hates her'
    model.script(completion(cut), completion(cut))
    await nm.digest("alice")
    assert [one["content"] for one in await nm.insights("alice")] == ["Runs"]
    assert len(model.requests) == 2
    assert "cut off" in model.requests[1].json["messages"][-1]["content"]


async def test_a_digesting_model_that_reasons_away_all_its_room_gets_more(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await nm.add_memory("alice", "Runs fast")
    whole = '{"insights": [{"content": "Runs", "evidence": ["m1"]}]}'
    model.script(completion("", finish="length", reasoning_content="Let me see."), completion(whole))
    await nm.digest("alice")
    assert [one["content"] for one in await nm.insights("alice")] == ["Runs"]
    first, second = (request.json["max_tokens"] for request in model.requests)
    assert second == 2 * first


async def test_a_reply_of_no_use_is_asked_for_again_and_then_said(nm: NeuroMemory, model: HttpServer) -> None:
    await nm.add_memory("alice", "Runs fast")
    model.always = lambda request: completion("I would rather talk about the weather.")
    with pytest.raises(ProviderError, match="asked twice"):
        await nm.digest("alice")
    assert len(model.requests) == 2
    replies = iter(
        ["Sure! ```json\n{'insights': [", '```json\n{"insights": [{"content": "Runs", "evidence": "m1",}]}']
    )
    model.always = lambda request: completion(next(replies))
    result = await nm.digest("alice")
    assert result is not None
    assert [one["content"] for one in result["insights"]] == ["Runs"]


async def test_without_a_model_the_numbers_are_kept_and_nothing_counts_as_digested(database_url: str) -> None:
    async with opened(database_url, reflection_interval=1) as nm:
        new = NewMemory("Felt great", valence=0.5, emotion="joy")
        await insert_memory(database_of(nm), "alice", new, tokens=EntryTokenizer("en"))
        await nm.ingest("alice", "user", "Hello")
        result = await nm.digest("alice")
        assert result is not None
        assert (result["memories_analyzed"], result["insights"]) == (0, [])
        assert result["emotion_profile"]["valence_avg"] == 0.5
        assert result["emotion_profile"]["latest_state"] is None
        assert await nm.digest("alice", background=True) is None
        assert await queued(nm) == {}
        async with database_of(nm).user("alice") as transaction:
            assert await count_undigested(transaction, "alice") == 1


async def test_a_spent_budget_puts_the_digest_off(database_url: str, model: HttpServer) -> None:
    model.always = saying(insight("Runs", ["m1"]))
    settings = {**FAST, "extraction": {"daily_tokens": 100}}
    async with opened(database_url, llm=llm(model), auto_extract=False, settings=settings) as nm:
        await nm.add_memory("alice", "Runs fast")
        await nm.digest("alice")
        await nm.add_memory("alice", "Runs far")
        with pytest.raises(BudgetError, match="120 of 100"):
            await nm.digest("alice")
        await nm.digest("alice", background=True)
        await nm.drain()
        assert (await queued(nm))["waiting"] == 1
        assert len(model.requests) == 1


async def test_what_can_never_be_read_is_given_up_and_to_be_seen_and_the_next_digest_tries_again(
    database_url: str, model: HttpServer
) -> None:
    settings = {"work": {**FAST["work"], "max_attempts": 2}}
    options: dict[str, Any] = {"llm": llm(model), "auto_extract": False, "settings": settings}
    async with opened(database_url, **options, reflection_interval=2) as nm:
        model.always = lambda request: completion("No.")
        await nm.add_memory("alice", "Runs fast")
        await nm.digest("alice", background=True)
        await nm.drain()
        assert (await queued(nm))["dead"] == 1
        model.always = answering(by_word)
        for text in ("One", "Two"):
            await nm.ingest("alice", "user", text)
        await nm.drain()
        assert [one["content"] for one in await nm.insights("alice")] == ["Often Runs"]


async def test_progress_is_told_after_each_batch(nm: NeuroMemory) -> None:
    for n in range(5):
        await nm.add_memory("alice", f"Word{n} is said")
    told: list[Any] = []
    await nm.digest("alice", batch_size=2, progress=told.append)
    assert told == [
        {"memories_analyzed": n, "memories_left": 5 - n, "insights_generated": n} for n in (2, 4, 5)
    ]
