"""Every message ends in a state that shows; providers fail in every way they know, over real HTTP; nothing is lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.domain.extraction import ExtractionStrategy
from neuromem.errors import InputError, ProviderResponseError
from neuromem.plugin.http import Retry
from neuromem.testing import HashEmbedding
from neuromem.testing.internals import database_of, worker_of
from tests.conftest import opened
from tests.ingest.extraction.conftest import FAST
from tests.ingest.extraction.model import answering, asked, completion, echo, llm
from tests.support.http_server import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer, Request


async def facts(nm: NeuroMemory, user: str = "alice") -> list[str]:
    async with database_of(nm).user(user) as transaction:
        rows = await transaction.all(
            "SELECT content FROM {s}.memories WHERE superseded_at IS NULL ORDER BY entry"
        )
    return [row.content for row in rows]


@pytest.mark.parametrize(
    "failure",
    [
        Reply({"error": {"message": "no such key"}}, status=401),
        Reply({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "0"}),
        Reply("bad gateway", status=502),
        Reply({"choices": []}),
        completion(
            "cut",
        )
        if False
        else Reply({"choices": [{"message": {"content": "x"}}]}, cut_after=10),
        Reply(cut_after=-1),
        completion("", reasoning_content="I think, therefore I am"),
        completion("I would rather not."),
    ],
    ids=["401", "429", "502", "no choices", "cut body", "cut connection", "only reasoning", "no JSON"],
)
async def test_a_failed_call_is_made_again_and_nothing_is_lost(
    nm: NeuroMemory, model: HttpServer, failure: Reply
) -> None:
    model.script(failure, failure)
    await nm.ingest("alice", "user", "I like tea", "s")
    await nm.ingest("alice", "user", "I like golf", "s")
    await nm.drain()
    assert await facts(nm) == ["I like tea", "I like golf"]
    assert await nm.conversations.get_unextracted_messages("alice") == []


async def test_every_dialect_of_structured_output_is_understood(nm: NeuroMemory, model: HttpServer) -> None:
    def picky(request: Request) -> Reply:
        if "response_format" in request.json:
            return Reply({"error": {"message": "response_format is not supported"}}, status=400)
        return answering(echo)(request)

    model.always = picky
    await nm.ingest("alice", "user", "I like tea")
    await nm.drain()
    assert await facts(nm) == ["I like tea"]
    assert "JSON schema" in model.requests[-1].json["messages"][0]["content"]


async def test_what_fails_is_visible_dies_visibly_and_can_be_brought_back(
    database_url: str, model: HttpServer
) -> None:
    work = {"retry_delay": 0.01, "poll": 0.02, "max_attempts": 2}
    async with opened(database_url, llm=llm(model), settings={"work": work}) as nm:
        model.always = completion("no")
        message = await nm.ingest("alice", "user", "I like tea")
        await nm.drain()
        (dead,) = await nm.conversations.get_unextracted_messages("alice")
        assert dead.id == message.id
        assert dead.extraction is not None
        assert (dead.extraction.state, dead.extraction.attempts) == ("dead", 2)
        assert "in vain" in (dead.extraction.why or "")
        model.always = answering(echo)
        assert await nm.retry_failed_extractions("bob") == 0
        assert await nm.retry_failed_extractions("alice") == 1
        await nm.drain()
        assert await facts(nm) == ["I like tea"]


class Moody(HashEmbedding):
    """Refuses every text while ``down``."""

    down = True

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        if self.down:
            raise ProviderResponseError("Not this text.", provider="moody")
        return await super().embed_batch(texts)


async def test_work_of_any_kind_that_was_given_up_can_be_brought_back(database_url: str) -> None:
    embedding = Moody()
    work = {"retry_delay": 0.01, "poll": 0.02, "max_attempts": 1}
    async with opened(database_url, embedding=embedding, settings={"work": work}) as nm:
        await nm.ingest("alice", "user", "I like tea")
        await nm.ingest("bob", "user", "I like golf")
        await nm.drain()
        assert (await nm.stats("alice"))["queue"]["embed"]["dead"] == 1
        assert await nm.retry_failed_jobs("alice", kind="extract") == {}
        embedding.down = False
        assert await nm.retry_failed_jobs("alice") == {"embed": 1}
        await nm.drain()
        assert (await nm.recall("alice", "tea"))["vector_results"]
        assert not (await nm.recall("bob", "golf"))["vector_results"]
        assert await nm.retry_failed_jobs(kind="embed") == {"embed": 1}
        await nm.drain()
        assert (await nm.recall("bob", "golf"))["vector_results"]


async def test_a_message_is_brought_back_only_so_often(database_url: str, model: HttpServer) -> None:
    work = {"retry_delay": 0.01, "poll": 0.02, "max_attempts": 1}
    async with opened(database_url, llm=llm(model), settings={"work": work}) as nm:
        model.always = completion("no")
        await nm.ingest("alice", "user", "I like tea")
        await nm.drain()
        for expected in (1, 1, 0):
            assert await nm.retry_failed_extractions(max_retries=2) == expected
            await nm.drain()


async def test_a_message_nobody_wants_extracted_is_left_alone_and_shown(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await nm.ingest("alice", "user", "a secret", auto_extract=False)
    nm.auto_extract = False
    await nm.ingest("alice", "user", "another")
    await nm.ingest("alice", "user", "I like tea", auto_extract=True)
    await nm.drain()
    assert await facts(nm) == ["I like tea"]
    left = await nm.conversations.get_unextracted_messages("alice")
    assert [(m.content, m.extraction and m.extraction.state) for m in left] == [
        ("a secret", "none"),
        ("another", "none"),
    ]


async def test_messages_are_extracted_in_the_order_in_which_they_were_said(
    nm: NeuroMemory, model: HttpServer
) -> None:
    model.script(Reply("down", status=503))
    for i in range(12):
        await nm.ingest("alice", "user", f"said {i}", f"session {i % 3}")
    await nm.drain()
    assert await facts(nm) == [f"said {i}" for i in range(12)]


async def test_a_window_takes_what_has_piled_up_in_one_call(database_url: str, model: HttpServer) -> None:
    strategy = ExtractionStrategy(message_interval=3, idle_timeout=3600)
    async with opened(database_url, llm=llm(model), settings=FAST, extraction=strategy) as nm:
        for text in ("one", "two"):
            await nm.ingest("alice", "user", text, "s")
        await worker_of(nm).drain()
        assert model.requests == []
        assert [
            m.extraction and m.extraction.state
            for m in await nm.conversations.get_unextracted_messages("alice")
        ] == ["waiting", "waiting"]
        await nm.ingest("alice", "user", "three", "s")
        await worker_of(nm).drain()
        (request,) = model.requests
        assert [turn["text"] for turn in asked(request)["conversation"]] == ["one", "two", "three"]
        await nm.ingest("alice", "user", "four", "s")
        await nm.conversations.close_session("alice", "s")
        await worker_of(nm).drain()
        assert await facts(nm) == ["one", "two", "three", "four"]
        await nm.ingest("alice", "user", "five", "s")
    async with opened(database_url) as nm:
        assert await facts(nm) == ["one", "two", "three", "four", "five"]


async def test_what_waits_for_more_is_extracted_when_nothing_more_comes(
    database_url: str, model: HttpServer
) -> None:
    strategy = ExtractionStrategy(message_interval=9, idle_timeout=0.3)
    async with opened(database_url, llm=llm(model), settings=FAST, extraction=strategy) as nm:
        await nm.conversations.add_messages_batch(
            "alice", [{"role": "user", "content": text} for text in ("one", "two")], "s"
        )
        await asyncio.to_thread(model.wait_for, 1)  # nobody drains, nobody closes
        assert [turn["text"] for turn in asked(model.requests[0])["conversation"]] == ["one", "two"]


async def test_who_waits_on_purpose_may_wait_beyond_the_end(database_url: str, model: HttpServer) -> None:
    strategy = ExtractionStrategy(
        message_interval=9, idle_timeout=3600, on_session_close=False, on_shutdown=False
    )
    async with opened(database_url, llm=llm(model), settings=FAST, extraction=strategy) as nm:
        await nm.ingest("alice", "user", "one", "s")
        await nm.conversations.close_session("alice", "s")
        await worker_of(nm).drain()
    assert model.requests == []
    async with opened(database_url, llm=llm(model), settings=FAST, extraction=strategy) as nm:
        (waiting,) = await nm.conversations.get_unextracted_messages("alice")
        assert waiting.extraction is not None
        assert waiting.extraction.state == "waiting"
        await nm.drain()
        assert await facts(nm) == ["one"]


async def test_a_provider_that_asks_for_patience_gets_it(database_url: str, model: HttpServer) -> None:
    """In seconds or as a date; meanwhile it is not asked, and the message says until when."""
    at = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    hurried = {"work": {**FAST["work"], "drain_timeout": 0}}
    for user, wait in (("alice", "3600"), ("bob", at)):
        model.script(Reply({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": wait}))
        async with opened(database_url, llm=llm(model), settings=hurried) as nm:
            await nm.ingest(user, "user", "I like tea")
            state = None
            async with asyncio.timeout(30):
                while state is None or state.state != "failed":
                    (put_off,) = await nm.conversations.get_unextracted_messages(user)
                    state = put_off.extraction
            assert state.next_try is not None
            assert timedelta(minutes=50) < state.next_try - datetime.now(UTC) < timedelta(minutes=130)
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    "wrong", [{"message_interval": 0}, {"idle_timeout": -1.0}, {"message_interval": True}]
)
def test_a_strategy_that_cannot_be_kept_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ExtractionStrategy(**wrong)


async def test_callbacks_tell_the_same_whether_it_went_well_or_not(
    database_url: str, model: HttpServer
) -> None:
    told: dict[str, list[dict[str, Any]]] = {"extraction": [], "llm": []}

    def keep(name: str) -> Callable[[dict[str, Any]], None]:
        return told[name].append

    model.script(Reply("down", status=503))
    async with opened(
        database_url, llm=llm(model), settings=FAST, on_extraction=keep("extraction"), on_llm_call=keep("llm")
    ) as nm:
        message = await nm.ingest("alice", "user", "I like tea")
        await nm.drain()
    failed, done = told["extraction"]
    assert failed.keys() == done.keys()
    assert failed["error"].startswith("ProviderUnavailableError")
    assert (done["error"], done["facts_extracted"], done["session_id"]) == (None, 1, message.session_id)
    assert [(call["success"], call["prompt_tokens"]) for call in told["llm"]] == [(False, None), (True, 100)]
    assert told["llm"][0].keys() == told["llm"][1].keys()


async def test_usage_is_summed_per_user_and_operation(nm: NeuroMemory, model: HttpServer) -> None:
    model.script(completion("no"), completion("no"))
    await nm.ingest("alice", "user", "I like tea")
    await nm.drain()
    await nm.ingest("bob", "user", "I like golf")
    await nm.drain()
    assert await nm.usage("alice") == {
        "extraction": {"calls": 3, "failures": 0, "prompt_tokens": 300, "completion_tokens": 60}
    }
    assert (await nm.usage("bob"))["extraction"]["calls"] == 1
    assert await nm.usage("carol") == {}


async def test_a_spent_budget_pauses_that_user_and_says_so(database_url: str, model: HttpServer) -> None:
    settings = {**FAST, "extraction": {"daily_tokens": 100}}
    async with opened(database_url, llm=llm(model), settings=settings) as nm:
        await nm.ingest("alice", "user", "I like tea")
        await nm.drain()
        await nm.ingest("alice", "user", "I like golf")
        await nm.ingest("bob", "user", "I like chess")
        await nm.drain()
        assert len(model.requests) == 2
        (paused,) = await nm.conversations.get_unextracted_messages("alice")
        assert paused.extraction is not None
        assert paused.extraction.state == "waiting"
        assert "120 of 100 tokens" in (paused.extraction.why or "")
        assert paused.extraction.next_try is not None
        assert await facts(nm, "bob") == ["I like chess"]
    async with opened(database_url, llm=llm(model), settings=FAST) as nm:
        await nm.drain()
        assert await facts(nm) == ["I like tea", "I like golf"]


async def test_a_call_that_hangs_is_given_up_and_made_again(database_url: str, model: HttpServer) -> None:
    import threading

    provider = llm(model, timeout=0.2, retry=Retry(attempts=1))
    model.script(Reply(hold=threading.Event()))
    async with opened(database_url, llm=provider, settings=FAST) as nm:
        await nm.ingest("alice", "user", "I like tea")
        await nm.drain()
        assert await facts(nm) == ["I like tea"]
