"""Insights lose what they rest on: deleted, superseded, rolled back, erased; the past stays what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from neuromem.errors import NotFoundError
from neuromem.testing.internals import database_of
from tests.digest.model import digest, feel, insight, saying
from tests.support.user_data import now, supersede

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer


async def contents(nm: NeuroMemory, **options: Any) -> dict[str, float]:
    return {one["content"]: one["confidence"] for one in await nm.insights("alice", **options)}


async def test_deleted_evidence_takes_weight_and_in_the_end_the_insight(nm: NeuroMemory) -> None:
    first = await nm.add_memory("alice", "Runs on Monday")
    second = await nm.add_memory("alice", "Runs on Friday")
    await nm.digest("alice")
    await nm.drain()
    (known,) = await nm.insights("alice")
    whole = await now(nm)
    await nm.delete_memory("alice", first.id)
    half = await now(nm)
    (less,) = await nm.insights("alice")
    assert (less["id"], less["source_ids"]) == (known["id"], [second.id])
    assert less["confidence"] < known["confidence"]
    await nm.delete_memory("alice", second.id)
    assert await nm.insights("alice") == []
    assert (await nm.recall("alice", "often runs", memory_type="insight"))["merged"] == []
    assert (await nm.memory_history("alice", known["id"]))[-1].ended == "without evidence: deleted"
    # As it was known then.
    assert len((await nm.insights("alice", as_of=whole))[0]["source_ids"]) == 2
    assert (await nm.insights("alice", as_of=half))[0]["source_ids"] == [second.id]
    past = await nm.recall("alice", "often runs", memory_type="insight", as_of=half)
    assert [item["id"] for item in past["merged"]] == [known["id"]]
    for moment, one in ((whole, known), (half, less)):
        memory = await nm.get_memory("alice", known["id"], as_of=moment)
        assert memory is not None
        assert memory.confidence == pytest.approx(one["confidence"], abs=1e-3)


async def test_superseded_changed_and_pinned_evidence(nm: NeuroMemory, model: HttpServer) -> None:
    await supersede(nm, "alice", "Lives in Rome")
    kept = await nm.add_memory("alice", "Walks a lot")
    model.always = saying(insight("Roman at heart", ["m1"]), insight("Walker", ["m2"]))
    await nm.digest("alice")
    assert set(await contents(nm)) == {"Roman at heart", "Walker"}
    await nm.pin("alice", kept.id)
    await nm.update_memory("alice", kept.id, importance=9)
    assert set(await contents(nm)) == {"Roman at heart", "Walker"}
    await supersede(nm, "alice", "Lives in Oslo")
    assert set(await contents(nm)) == {"Walker"}
    await nm.update_memory("alice", kept.id, "Walks a little")
    assert await contents(nm) == {}
    result = await digest(nm, "alice")
    assert result["memories_analyzed"] == 2  # Oslo, and what was changed


async def test_what_is_brought_back_is_digested_again(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "Runs on Monday")
    await nm.digest("alice")
    (known,) = await nm.insights("alice")
    await nm.delete_memory("alice", memory.id)
    await nm.restore_memory("alice", memory.id)
    assert await nm.insights("alice") == []
    await nm.digest("alice")
    (again,) = await nm.insights("alice")
    assert (again["id"], again["source_ids"]) == (known["id"], [memory.id])
    history = await nm.memory_history("alice", known["id"])
    assert [(v.version, v.ended) for v in history] == [(1, "without evidence: deleted"), (2, None)]


async def test_a_rollback_takes_insights_with_it_and_brings_back_those_that_held(
    nm: NeuroMemory, model: HttpServer
) -> None:
    memory = await nm.add_memory("alice", "Runs on Monday")
    before = await now(nm)
    model.always = saying(insight("Runner", ["m1"]), state="Full of energy")
    await nm.digest("alice")
    held, then = await nm.insights("alice"), await now(nm)
    assert (await nm.emotion_profile("alice"))["latest_state"] == "Full of energy"
    await nm.delete_memory("alice", memory.id)
    assert await contents(nm) == {}
    assert (await nm.emotion_profile("alice"))["latest_state"] is None
    await nm.rollback_memories("alice", then)
    (back,) = await nm.insights("alice")
    assert (back["id"], back["source_ids"]) == (held[0]["id"], [memory.id])
    assert (await nm.emotion_profile("alice"))["latest_state"] == "Full of energy"
    assert (await digest(nm, "alice"))["memories_analyzed"] == 0
    await nm.rollback_memories("alice", before)
    assert await contents(nm) == {}
    assert (await nm.emotion_profile("alice"))["latest_state"] is None
    result = await digest(nm, "alice")  # what came of it is gone, so it is looked at again
    assert result["memories_analyzed"] == 1
    assert list(await contents(nm)) == ["Runner"]
    assert (await nm.emotion_profile("alice", as_of=before))["latest_state"] is None
    assert (await nm.emotion_profile("alice", as_of=then))["latest_state"] == "Full of energy"


async def test_erasing_leaves_nothing_of_what_was_derived_from_it_alone(
    nm: NeuroMemory, model: HttpServer
) -> None:
    said = await nm.ingest("alice", "user", "I am ill and it is dark", "dark")
    kept = await nm.add_memory("alice", "Sleeps little")
    await feel(nm, "alice", "Has an illness", -0.8, sources=(said.id,), entities=("Hospital",))
    model.always = saying(
        insight("Is ill", ["m2"]), insight("Has a hard time", ["m1", "m2"]), state="Worried about the illness"
    )
    await nm.digest("alice")
    then = await now(nm)
    ill = next(one for one in await nm.insights("alice") if one["content"] == "Is ill")
    await nm.conversations.delete_session("alice", "dark")
    (left,) = await nm.insights("alice")
    assert (left["content"], left["source_ids"]) == ("Has a hard time", [kept.id])
    with pytest.raises(NotFoundError):
        await nm.memory_history("alice", ill["id"])
    assert set(await contents(nm, as_of=then)) == {"Has a hard time"}
    for moment in (None, then):
        profile = await nm.emotion_profile("alice", as_of=moment)
        assert (profile["latest_state"], profile["valence_avg"], profile["emotion_triggers"]) == (
            None,
            None,
            {},
        )
    await nm.delete_memory("alice", kept.id, erase=True)
    assert await contents(nm) == await contents(nm, as_of=then) == {}
    async with database_of(nm).user("alice") as transaction:
        for table in ("evidence", "moods", "emotions"):
            assert await transaction.value(f"SELECT count(*) FROM {{s}}.{table}") == 0
        assert await transaction.value("SELECT count(*) FROM {s}.memories") == 0
        assert await transaction.value("SELECT count(*) FROM {s}.entries WHERE kind = 'k'") == 0


async def test_what_a_person_pinned_or_wrote_is_not_ended_by_neuromem(
    nm: NeuroMemory, model: HttpServer
) -> None:
    memory = await nm.add_memory("alice", "Runs on Monday")
    own = await nm.add_memory("alice", "My own insight", "insight")
    model.always = saying(insight("Runner", ["m1"]), insight("Athlete", ["m1"]))
    await nm.digest("alice")
    runner = next(one["id"] for one in await nm.insights("alice") if one["content"] == "Runner")
    await nm.pin("alice", runner)
    await nm.delete_memory("alice", memory.id)
    assert {one["id"]: one["confidence"] for one in await nm.insights("alice")} == {runner: 1, own.id: 1}


async def test_a_user_leaves_and_moves_with_insights_and_feelings(nm: NeuroMemory, model: HttpServer) -> None:
    await feel(nm, "alice", "Great run", 0.8, 0.6, "joy", entities=("Park",))
    model.always = saying(insight("Runner", ["m1"]), state="Happy")
    await nm.digest("alice")
    await nm.drain()
    exported = await nm.export_user_data("alice")
    await nm.import_user_data("bob", exported)
    alice, bob = await nm.insights("alice"), await nm.insights("bob")
    assert [(one["content"], one["source_ids"]) for one in bob] == [
        (one["content"], one["source_ids"]) for one in alice
    ]
    feelings = [await nm.emotion_profile(user) for user in ("alice", "bob")]
    assert feelings[0]["latest_state"] == "Happy"
    for profile in feelings:
        profile["latest_state_valence"] = round(profile["latest_state_valence"] or 0, 6)
    assert feelings[0] == feelings[1]
    assert (await digest(nm, "bob"))["memories_analyzed"] == 0
    await nm.delete_user_data("bob")
    assert await nm.verify_deleted("bob") == {"rows": 0, "objects_pending": 0}
    assert len(await nm.insights("alice")) == 1
