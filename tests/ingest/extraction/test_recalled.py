"""What a model made of messages, and the messages themselves, in one answer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.conftest import opened
from tests.ingest.extraction.conftest import FAST
from tests.ingest.extraction.model import answering, llm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer


def telling(facts: Mapping[str, str]) -> Any:
    """Let the model reply with the fact of each new turn that has one, and remember a trait otherwise."""

    def tell(shown: dict[str, Any]) -> dict[str, Any]:
        new = [turn for turn in shown["conversation"] if turn.get("new")]
        made = [
            {"content": facts[turn["text"]], "subject": "Alice", "sources": [turn["id"]]}
            for turn in new
            if turn["text"] in facts
        ]
        return {"facts": made} if made else {"profile": {"personality": ["talkative"]}}

    return answering(tell)


async def contents(nm: NeuroMemory, question: str, **options: Any) -> list[str]:
    found = await nm.recall("alice", question, **options)
    return [item["content"] for item in found["merged"]]


async def test_a_hidden_message_lends_its_words_to_the_fact_in_its_place(
    nm: NeuroMemory, model: HttpServer
) -> None:
    said = {
        "We flew to Lisbon in spring": "Alice visited Portugal.",
        "The kettle is broken": "Alice has no tea.",
    }
    model.always = telling(said)
    await nm.conversations.add_messages_batch("alice", [{"role": "user", "content": text} for text in said])
    await nm.drain()
    assert (await contents(nm, "Who flew to Lisbon?"))[0] == "Alice visited Portugal."
    assert (await contents(nm, "Is the kettle broken?"))[0] == "Alice has no tea."
    found = await nm.recall("alice", "Who flew to Lisbon?", explain=True)
    shown = [*found["merged"], *found["bm25_results"], *found["vector_results"]]
    assert {item["memory_type"] for item in shown} == {"fact"}
    ranks = [item["explain"]["arms"]["vector"]["rank"] for item in found["merged"]]
    assert sorted(ranks) == [1, 2]


async def test_the_facts_of_a_message_that_was_found_come_with_it(
    database_url: str, model: HttpServer
) -> None:
    flight, fact = "We flew to Lisbon in spring", "Alice visited Portugal."
    model.always = telling({flight: fact})
    settings = {**FAST, "recall": {"depth": 4}}
    async with opened(database_url, llm=llm(model), settings=settings) as nm:
        texts = [flight, *(f"Spring again, number {i}" for i in range(12))]
        await nm.conversations.add_messages_batch(
            "alice", [{"role": "user", "content": text} for text in texts]
        )
        await nm.drain()
        question = "Who flew to Lisbon in spring?"
        assert fact in await contents(nm, question, limit=4, include_conversations=True)
        (now,) = await nm.list_memories("alice")
        assert fact in await contents(nm, question, limit=4, as_of=now.created_at)
        before = now.created_at - timedelta(microseconds=1)
        assert fact not in await contents(nm, question, limit=4, as_of=before)


async def test_a_fact_and_its_message_do_not_take_two_of_the_first_places(
    nm: NeuroMemory, model: HttpServer
) -> None:
    said = {
        "My cat Momo likes tuna": "Alice's cat Momo likes tuna.",
        "My cat Momo hates rain": "Alice's cat Momo hates rain.",
    }
    model.always = telling(said)
    await nm.conversations.add_messages_batch("alice", [{"role": "user", "content": text} for text in said])
    await nm.drain()
    found = await nm.recall("alice", "cat Momo", include_conversations=True)
    assert len(found["merged"]) == 4
    assert len({tuple(item["sources"]) for item in found["merged"][:2]}) == 2


async def test_hidden_messages_do_not_crowd_out_what_may_be_shown(nm: NeuroMemory, model: HttpServer) -> None:
    model.always = telling({})
    await nm.conversations.add_messages_batch(
        "alice", [{"role": "user", "content": f"cat {i}"} for i in range(130)]
    )
    await nm.drain()
    kept = "In the long house by the river there lives, beside a dog and two old horses, a cat."
    await nm.add_memory("alice", kept)
    await nm.drain()
    assert kept in await contents(nm, "cat", limit=5)


async def test_a_relation_leads_to_where_it_was_told_unless_that_is_everywhere(
    nm: NeuroMemory, model: HttpServer
) -> None:
    often = [f"We sat by the river until {hour} again" for hour in range(1, 9)]
    known = dict.fromkeys(often, ("Bob", "KNOWS", "Alice"))
    known["She is paid for the boat by them"] = ("Carol", "WORKS_AT", "Acme")

    def tell(shown: dict[str, Any]) -> dict[str, Any]:
        keys = ("subject", "relation", "object")
        new = [turn for turn in shown["conversation"] if turn.get("new")]
        return {
            "relations": [
                {**dict(zip(keys, known[turn["text"]], strict=True)), "sources": [turn["id"]]} for turn in new
            ]
        }

    model.always = answering(tell)
    await nm.conversations.add_messages_batch("alice", [{"role": "user", "content": text} for text in known])
    await nm.drain()

    async def led_to(question: str) -> set[float]:
        found = await nm.recall("alice", question, include_conversations=True, explain=True)
        arms = [item["explain"]["arms"].get("graph") for item in found["merged"]]
        return {arm["score"] for arm in arms if arm}

    assert await led_to("Where does Carol live?") == {1.0}
    assert await led_to("Where does Bob live?") == {1 / len(often)}
