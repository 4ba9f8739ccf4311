"""Why a memory is not in an answer: every reason has a name and a sentence that is true."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from neuromem import NotFoundError
from neuromem.testing import ScriptedLLM
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.memory import NeuroMemory
    from neuromem.plugin import ChatMessage

QUESTION = "violin lesson"


async def why(nm: NeuroMemory, item: str, question: str = QUESTION, **options: Any) -> tuple[str | None, str]:
    told = await nm.explain_missing("alice", question, item, **options)
    found = await nm.recall(
        "alice", question, **{name: value for name, value in options.items() if value is not None}
    )
    ids = [hit["id"] for hit in found["merged"]]
    assert told["found"] is (item.lower() in ids)
    assert told["rank"] == (ids.index(item.lower()) + 1 if told["found"] else None)
    return told["dropped_by"], told["why"]


async def test_what_is_there_is_said_to_be_there_however_its_id_is_written(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "violin lesson on Monday", "fact")
    assert await why(nm, memory.id.upper()) == (None, "It is in the answer, at rank 1.")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"memory_type": "general"}, "memory_type"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"created_after": datetime(2100, 1, 1, tzinfo=UTC)}, "created_after"),
        ({"created_before": datetime(2000, 1, 1, tzinfo=UTC)}, "created_before"),
        ({"event_after": datetime(2023, 1, 1, tzinfo=UTC)}, "event_after"),
        ({"event_before": datetime(2022, 1, 1, tzinfo=UTC)}, "event_before"),
        ({"memory_type": "fact", "metadata": {"a": 1}}, "metadata"),
    ],
)
async def test_a_filter_is_named(nm: NeuroMemory, options: dict[str, Any], name: str) -> None:
    then = datetime(2022, 5, 8, tzinfo=UTC)
    memory = await nm.add_memory("alice", "violin lesson", "fact", occurred_at=then)
    assert await why(nm, memory.id, **options) == ("filter", f"The filter {name} leaves it out.")


async def test_what_has_no_time_of_its_own_passes_no_filter_by_event(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "violin lesson", "fact")
    options: list[dict[str, Any]] = [{"event_after": datetime.now(UTC)}, {"event_before": datetime.now(UTC)}]
    for option in options:
        dropped_by, sentence = await why(nm, memory.id, **option)
        assert (dropped_by, "when it happened is not known" in sentence) == ("filter", True)


async def test_what_does_not_hold_any_more_says_since_when_and_why(nm: NeuroMemory) -> None:
    deleted = await nm.add_memory("alice", "violin lesson one", "fact")
    await nm.delete_memory("alice", deleted.id)
    assert await why(nm, deleted.id) == (
        "superseded",
        "It does not hold any more (deleted); as_of shows it as of a moment when it did.",
    )
    assert await why(nm, deleted.id, as_of=deleted.created_at) == (None, "It is in the answer, at rank 1.")
    early = deleted.created_at - timedelta(days=1)
    assert (await why(nm, deleted.id, as_of=early))[0] == "as_of"
    changed = await nm.add_memory("alice", "violin lesson two", "fact")
    await nm.update_memory("alice", changed.id, content="cello lesson")
    assert (await why(nm, changed.id))[0] is None  # the version that holds
    expiring = await nm.add_memory("alice", "violin lesson three", "fact")
    await nm.update_memory("alice", expiring.id, expires_at=datetime.now(UTC) + timedelta(seconds=0.5))
    while (await nm.recall("alice", QUESTION, memory_type="fact"))["merged"][0]["id"] == expiring.id:
        pass
    dropped_by, sentence = await why(nm, expiring.id)
    assert dropped_by in {"expired", "superseded"}
    assert "expired" in sentence


async def test_who_owns_it_is_not_told(nm: NeuroMemory) -> None:
    bobs = await nm.add_memory("bob", "violin lesson", "fact")
    erased = await nm.add_memory("alice", "violin lesson", "fact")
    await nm.delete_memory("alice", erased.id, erase=True)
    sentences = set()
    for item in (bobs.id, erased.id, "9b2d2f6e-0000-4000-8000-000000000000"):
        with pytest.raises(NotFoundError) as caught:
            await nm.explain_missing("alice", QUESTION, item)
        sentences.add(str(caught.value).replace(item, "it"))
    assert len(sentences) == 1


async def test_limit_relevance_and_repeats(nm: NeuroMemory) -> None:
    first = await nm.add_memory("alice", "violin lesson", "fact")
    second = await nm.add_memory("alice", "a violin stood there all day long", "fact")
    repeated = await nm.ingest("alice", "user", "Violin  lesson.")
    other = await nm.add_memory("alice", "the tea is green", "fact")
    await nm.drain()
    assert await why(nm, second.id, limit=1) == ("limit", "It is at rank 2, and limit is 1.")
    assert (await why(nm, other.id, min_score=0.5))[0] == "min_score"
    kept = {first.id: "memory", repeated.id: "message"}
    answer = await nm.recall("alice", QUESTION)
    stays = next(item["id"] for item in answer["merged"] if item["id"] in kept)
    (gone,) = kept.keys() - {stays}
    assert await why(nm, gone) == (
        "repeats",
        f"The {kept[stays]} {stays!r} says the same and stands in its place.",
    )


async def test_what_is_not_embedded_yet_is_told_from_what_is_not_near(database_url: str) -> None:
    async with opened(database_url, worker=False) as nm:
        far = await nm.add_memory("alice", "the harpsichord stands here", "fact")
        assert (await why(nm, far.id))[0] == "not_embedded"
    async with opened(database_url) as nm:
        await nm.drain()
        assert (await why(nm, far.id))[0] is None  # the nearest there is


def told(messages: Sequence[ChatMessage]) -> dict[str, object]:
    """Make a fact and a relation of each new turn."""
    shown = json.loads(next(m["content"] for m in messages if m["role"] == "user"))
    new = [turn["id"] for turn in shown["conversation"] if turn.get("new")]
    relation = {"subject": "Momo", "subject_type": "PERSON", "relation": "OWNS", "object": "violin"}
    return {
        "facts": [{"content": "Alice plays the violin", "sources": new}],
        "relations": [{**relation, "object_type": "ENTITY", "sources": new}],
    }


async def test_the_graph_takes_part_as_it_does_in_recall(database_url: str) -> None:
    """By words alone nothing leads from the question to the memory."""
    async with opened(database_url, llm=ScriptedLLM(always=told), graph_enabled=True) as nm:
        await nm.ingest("alice", "user", "I take a violin lesson each week")
        await nm.drain()
        (fact,) = await nm.get_recent_memories("alice")
        missing = await nm.explain_missing("alice", "Who is Momo?", fact.id)
        assert missing["found"]
        assert missing["arms"]["graph"] is not None
        nm.graph_enabled = False
        assert (await nm.explain_missing("alice", "Who is Momo?", fact.id))["arms"]["graph"] is None


async def test_a_message_in_whose_place_its_facts_stand(database_url: str) -> None:
    async with opened(database_url, llm=ScriptedLLM(always=told)) as nm:
        said = await nm.ingest("alice", "user", "I take a violin lesson each week")
        await nm.drain()
        dropped_by, sentence = await why(nm, said.id)
        assert (dropped_by, "include_conversations=True" in sentence) == ("extracted", True)
        assert (await why(nm, said.id, include_conversations=True))[0] is None
        assert await why(nm, said.id, include_conversations=False) == (
            "filter",
            "It is a message, and the question asks for other kinds.",
        )
