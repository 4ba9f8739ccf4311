"""From a message to what is known, over real HTTP."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.conftest import opened
from tests.ingest.extraction.conftest import FAST
from tests.ingest.extraction.model import answering, asked, llm

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer

GOOGLE: dict[str, Any] = {
    "facts": [
        {
            "content": "Alice works at Google as a backend engineer.",
            "subject": "Alice",
            "category": "work",
            "confidence": 0.9,
            "importance": 8,
            "valence": 0.2,
            "arousal": 0.1,
            "emotion": "proud",
            "entities": ["Google"],
            "states": "WORKS_AT",
            "sources": ["m1"],
        }
    ],
    "episodes": [
        {"content": "Alice had an interview on 2023-05-07.", "date": "2023-05-07", "sources": ["m1"]}
    ],
    "relations": [
        {
            "subject": "Alice",
            "subject_type": "USER",
            "relation": "WORKS_AT",
            "object": "Google",
            "object_type": "ORGANIZATION",
            "sources": ["m1"],
        }
    ],
    "profile": {"occupation": "backend engineer", "interests": ["distributed systems"]},
}


def named(shown: dict[str, Any]) -> dict[str, Any]:
    return {"facts": [{"content": "Alice has a cat called Momo.", "sources": ["m1"]}]}


async def test_a_message_becomes_facts_episodes_relations_and_profile(
    nm: NeuroMemory, model: HttpServer
) -> None:
    model.always = answering(lambda shown: GOOGLE)
    said = datetime(2023, 5, 8, 13, 0, tzinfo=UTC)
    message = await nm.ingest("alice", "user", "I work at Google as a backend engineer", occurred_at=said)
    await nm.drain()
    found = await nm.recall("alice", "Where does Alice work?")
    fact = next(item for item in found["merged"] if item["memory_type"] == "fact")
    assert fact["content"] == "Alice works at Google as a backend engineer."
    assert fact["sources"] == [message.id]
    episode = next(item for item in found["merged"] if item["memory_type"] == "episodic")
    assert episode["occurred_at"] == datetime(2023, 5, 7, tzinfo=UTC)
    assert found["user_profile"] == {"occupation": "backend engineer", "interests": ["distributed systems"]}
    (neighbor,) = await nm.graph.get_neighbors("alice", "USER", "alice")
    assert neighbor.node.id == "Google"
    assert found["pending"] == 0


async def test_recall_leaves_an_extracted_message_to_its_facts_unless_asked(
    nm: NeuroMemory, model: HttpServer
) -> None:
    thinking = threading.Event()
    model.always = lambda request: replace(answering(named)(request), hold=thinking)
    message = await nm.ingest("alice", "user", "My cat is called Momo")
    waiting = await nm.recall("alice", "What is the cat called?")
    assert [item["id"] for item in waiting["merged"]] == [message.id]
    assert waiting["pending"] >= 1
    thinking.set()
    await nm.drain()
    by_facts = await nm.recall("alice", "What is the cat called?")
    assert [item["memory_type"] for item in by_facts["merged"]] == ["fact"]
    both = await nm.recall("alice", "What is the cat called?", include_conversations=True)
    assert {item["memory_type"] for item in both["merged"]} == {"fact", "message"}
    only = await nm.recall("alice", "What is the cat called?", memory_type="message")
    assert [item["id"] for item in only["merged"]] == [message.id]


async def test_the_model_sees_context_speakers_times_known_memories_and_profile(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await nm.kv.set("alice", "profile", "occupation", "nurse")
    await nm.add_memory("alice", "Alice has a cat called Momo", "fact")
    said = datetime.fromisoformat("2023-05-08T09:30:00+08:00")
    await nm.ingest("alice", "assistant", "What is your cat called?", "s", occurred_at=said)
    await nm.drain()
    await nm.ingest("alice", "user", "Momo! She is my cat.", "s", name="Alice", occurred_at=said)
    await nm.drain()
    shown = asked(model.requests[-1])
    question, answer = shown["conversation"]
    assert (question["text"], question.get("new")) == ("What is your cat called?", None)
    assert (answer["speaker"], answer["new"]) == ("Alice", True)
    assert answer["time"].startswith("2023-05-08 09:30 Monday")
    assert "Alice has a cat called Momo" in [memory["content"] for memory in shown["known"]]
    assert shown["profile"] == {"occupation": "nurse"}


async def test_a_time_given_in_utc_is_meant_in_utc_and_one_not_given_where_the_settings_say(
    database_url: str, model: HttpServer
) -> None:
    settings = {**FAST, "extraction": {"timezone": "Asia/Shanghai"}}
    async with opened(database_url, llm=llm(model), settings=settings) as nm:
        said = datetime(2023, 5, 8, 23, 30, tzinfo=UTC)
        await nm.ingest("alice", "user", "given", "a", occurred_at=said)
        await nm.ingest(
            "alice", "user", "named", "b", occurred_at=said, metadata={"timezone": "America/New_York"}
        )
        await nm.ingest("alice", "user", "not given", "c")
        await nm.drain()
    times = {
        turn["text"]: turn["time"]
        for r in model.requests
        for turn in asked(r)["conversation"]
        if turn.get("new")
    }
    assert times["given"] == "2023-05-08 23:30 Monday UTC"
    assert times["named"] == "2023-05-08 19:30 Monday EDT"
    assert times["not given"].endswith(" CST")
