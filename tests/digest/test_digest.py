"""What a digest finds, what it keeps of a reply, and what becomes of an insight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neuromem.testing.internals import database_of
from tests.digest.model import digest, feel, insight, saying
from tests.ingest.extraction.model import answering, asked

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer


async def test_memories_become_insights_that_are_recalled_like_any_memory(nm: NeuroMemory) -> None:
    ids = [(await nm.add_memory("alice", f"Works late on {day}", "fact")).id for day in ("Monday", "Friday")]
    result = await digest(nm)
    assert (result["memories_analyzed"], result["insights_generated"]) == (2, 1)
    (found,) = result["insights"]
    assert found["content"] == "Often Works"
    assert found["category"] == "pattern"
    assert found["importance"] == 6
    assert set(found["source_ids"]) == set(ids)
    await nm.drain()
    recalled = await nm.recall("alice", "often works", memory_type="insight")
    assert [item["id"] for item in recalled["merged"]] == [found["id"]]
    assert {item["source"] for item in recalled["merged"]} <= {"vector", "bm25"}
    assert "Often Works" in (await nm.context("alice", "often works"))["text"]
    history = await nm.memory_history("alice", found["id"])
    assert [(version.by, version.ended) for version in history] == [("digest", None)]
    assert "digest-1" in (history[0].why or "")
    assert (await digest(nm))["memories_analyzed"] == 0


async def test_an_insight_without_evidence_or_with_invented_evidence_is_not_stored(
    nm: NeuroMemory, model: HttpServer
) -> None:
    mine = await nm.add_memory("alice", "Likes tea")
    others = await nm.add_memory("bob", "Likes gin")
    found = [
        insight("Nothing says so", []),
        insight("Names what it was not shown", ["m7", "r1", "x"]),
        insight("Names another user's memory", [others.id]),
        insight("Names an id instead of what it was shown", [mine.id]),
        insight("Likes hot drinks", ["m1", "m99"]),
        "no object",
        {"content": "", "evidence": ["m1"]},
        {"content": 5, "evidence": ["m1"]},
        {"content": "x" * 5_000, "evidence": ["m1"]},
    ]
    model.always = answering(lambda shown: {"insights": found})
    result = await digest(nm)
    assert [(one["content"], one["source_ids"]) for one in result["insights"]] == [
        ("Likes hot drinks", [mine.id])
    ]
    assert [one["content"] for one in await nm.insights("alice")] == ["Likes hot drinks"]
    assert await nm.insights("bob") == []


async def test_the_model_sees_dates_importance_emotion_older_memories_and_insights(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await nm.add_memory("alice", "Runs in the morning")
    await digest(nm)
    await nm.drain()
    await nm.add_memory("alice", "Runs a marathon", importance=8)
    await digest(nm)
    shown = asked(model.requests[-1])
    assert [memory["content"] for memory in shown["memories"]] == ["Runs a marathon"]
    assert shown["memories"][0]["importance"] == 8
    assert set(shown["memories"][0]) == {"id", "content", "date", "importance"}
    assert [memory["content"] for memory in shown["related"]] == ["Runs in the morning"]
    assert [(known["content"], known["stage"]) for known in shown["insights"]] == [
        ("Often Runs", "tentative")
    ]
    assert "sensitive" in model.requests[-1].json["messages"][0]["content"]


async def test_the_same_insight_again_reinforces_and_does_not_double(
    nm: NeuroMemory, model: HttpServer
) -> None:
    confidences = []
    for n, text in enumerate(("Often runs", "often  RUNS.", "Runs all the time", "Runs a lot")):
        await nm.add_memory("alice", f"Ran {n} miles")
        pointer = {"id": "i1", "standing": "reinforces"} if n >= 2 else None
        said = insight(text, ["m1"], known=pointer)
        model.always = saying(said)
        result = await digest(nm)
        assert result["insights_generated"] == (1 if n == 0 else 0)
        (known,) = await nm.insights("alice")
        assert result["insights"] == [known]
        confidences.append(known["confidence"])
    assert known["content"] == "Often runs"
    assert len(known["source_ids"]) == 4
    assert confidences == sorted(set(confidences))
    assert known["stage"] == "established"
    memory = await nm.get_memory("alice", known["id"])
    assert memory is not None
    assert memory.confidence == pytest.approx(known["confidence"])


async def test_what_one_conversation_says_twice_counts_once_and_reading_counts_nothing(
    nm: NeuroMemory, model: HttpServer
) -> None:
    for session in ("a", "b"):
        for n in range(4):
            message = await nm.ingest("alice", "user", f"{session}{n}", session)
            await feel(nm, "alice", f"Said {session}{n}", sources=(message.id,))
    await nm.drain()
    model.always = answering(lambda shown: {"insights": [insight("Says much", ["m1", "m2", "m3", "m4"])]})
    await digest(nm, batch_size=4)
    (known,) = await nm.insights("alice")
    for _ in range(3):
        await nm.recall("alice", "says much", memory_type="insight")
    (read,) = await nm.insights("alice")
    assert read["confidence"] == pytest.approx(known["confidence"], abs=1e-6)
    assert len(read["source_ids"]) == 8
    assert read["confidence"] == pytest.approx(1 - 0.65**2, abs=1e-3)


async def test_refined_and_contradicted(nm: NeuroMemory, model: HttpServer) -> None:
    await nm.add_memory("alice", "Ran on Monday")
    model.always = answering(lambda shown: {"insights": [insight("Runs", ["m1"])]})
    (first,) = (await digest(nm))["insights"]
    await nm.add_memory("alice", "Ran on Tuesday at six")
    said = insight("Runs early", ["m1"], known={"id": "i1", "standing": "refines"})
    model.always = answering(lambda shown: {"insights": [said]})
    (second,) = (await digest(nm))["insights"]
    assert (second["id"], second["content"], len(second["source_ids"])) == (first["id"], "Runs early", 2)
    history = await nm.memory_history("alice", first["id"])
    assert [(v.content, v.ended) for v in history] == [("Runs", "refined"), ("Runs early", None)]
    before = (await nm.insights("alice"))[0]["confidence"]
    for n, text in enumerate(("Stopped running", "Sold the shoes")):
        await nm.add_memory("alice", text)
        against = {"content": "", "evidence": ["m1"], "known": {"id": "i1", "standing": "contradicts"}}
        model.always = saying(against)
        await digest(nm)
        if n == 0:
            assert (await nm.insights("alice"))[0]["confidence"] < before
    assert await nm.insights("alice") == []
    assert (await nm.memory_history("alice", first["id"]))[-1].ended == "contradicted"


async def test_many_conversations_make_a_core_and_silence_lets_it_fade(
    nm: NeuroMemory, model: HttpServer
) -> None:
    model.always = saying(insight("Loves the sea", [f"m{n}" for n in range(1, 7)]))
    for n in range(6):
        await nm.add_memory("alice", f"Spoke of the sea, {n}")
    await digest(nm)
    (known,) = await nm.insights("alice")
    assert known["stage"] == "core"
    assert known["confidence"] == pytest.approx(1 - 0.65**6, abs=1e-3)
    async with database_of(nm).user("alice") as transaction:
        await transaction.run("UPDATE {s}.evidence SET created_at = created_at - interval '180 days'")
    (faded,) = await nm.insights("alice")
    assert faded["confidence"] == pytest.approx(known["confidence"] / 2, abs=1e-3)
    assert faded["stage"] == "tentative"
    await nm.add_memory("alice", "Spoke of the sea again")
    model.always = saying(insight("", ["m1"], known={"id": "i1", "standing": "reinforces"}))
    await digest(nm)
    assert (await nm.insights("alice"))[0]["confidence"] > known["confidence"]


async def test_a_doubtful_memory_says_less(nm: NeuroMemory, model: HttpServer) -> None:
    await feel(nm, "alice", "Perhaps ran", confidence=0.2)
    await feel(nm, "alice", "Surely swam", confidence=1.0)
    model.always = saying(insight("Runs", ["m1"]), insight("Swims", ["m2"]))
    await digest(nm)
    assert {one["content"]: round(one["confidence"], 2) for one in await nm.insights("alice")} == {
        "Runs": 0.07,
        "Swims": 0.35,
    }


async def test_a_pinned_insight_keeps_its_words(nm: NeuroMemory, model: HttpServer) -> None:
    await nm.add_memory("alice", "Ran on Monday")
    model.always = saying(insight("Runs", ["m1"]))
    (first,) = (await digest(nm))["insights"]
    await nm.pin("alice", first["id"])
    await nm.add_memory("alice", "Ran on Tuesday at six")
    model.always = saying(insight("Runs early", ["m1"], known={"id": "i1", "standing": "refines"}))
    await digest(nm)
    (kept,) = await nm.insights("alice")
    assert (kept["id"], kept["content"], len(kept["source_ids"])) == (first["id"], "Runs", 2)
