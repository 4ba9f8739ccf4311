"""Rolling back, history and what changed between two moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import InputError
from neuromem.store.memories.rollback import NOT_ROLLED_BACK, VERSIONED_TABLES
from neuromem.testing.internals import database_of
from tests.support.user_data import now, relate, state

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory


async def test_a_rollback_brings_back_memories_relations_and_profile_and_can_be_rolled_back(
    nm: NeuroMemory,
) -> None:
    kept = await nm.add_memory("alice", "Born in Rome")
    changed = await nm.add_memory("alice", "Works at Google")
    deleted = await nm.add_memory("alice", "Likes tea")
    await relate(nm, "alice", "WORKS_AT", "ORGANIZATION", "Google")
    await nm.kv.set("alice", "profile", "occupation", "engineer")
    await nm.drain()
    before, then = await state(nm), await now(nm)

    await nm.update_memory("alice", changed.id, "Works at Meta")
    await nm.delete_memory("alice", deleted.id)
    await nm.add_memory("alice", "Plays chess")
    await relate(nm, "alice", "WORKS_AT", "ORGANIZATION", "Meta")
    await nm.kv.set("alice", "profile", "occupation", "manager")
    await nm.kv.set("alice", "profile", "interests", ["chess"])
    after, later = await state(nm), await now(nm)
    assert before != after

    counts = await nm.rollback_memories("alice", then)
    # Ended: two memories, two edges (Google's with its end, Meta), two keys. Back: two memories, an edge, a key.
    assert counts == {"rolled_back": 6, "reactivated": 4}
    assert await state(nm) == before
    assert await state(nm, as_of=later) == after
    await nm.drain()
    result = await nm.recall("alice", "Where does she work? tea chess")
    assert {item["content"] for item in result["merged"]} == {"Born in Rome", "Works at Google", "Likes tea"}
    assert {item["content"] for item in result["vector_results"]} == {
        "Born in Rome",
        "Works at Google",
        "Likes tea",
    }

    assert (await nm.memory_history("alice", kept.id))[-1].version == 1
    history = await nm.memory_history("alice", changed.id)
    assert [(v.content, v.by, v.ended) for v in history] == [
        ("Works at Google", "user", "updated"),
        ("Works at Meta", "user", "rollback"),
        ("Works at Google", "rollback", None),
    ]
    assert history[-1].why == f"to {then.isoformat()}"

    await nm.rollback_memories("alice", later)
    assert await state(nm) == after
    await nm.rollback_memories("alice", then)
    assert await state(nm) == before


async def test_a_rollback_touches_one_user_and_nothing_that_did_not_change(nm: NeuroMemory) -> None:
    await nm.add_memory("alice", "One")
    await nm.add_memory("bob", "One")
    then = await now(nm)
    await nm.add_memory("bob", "Two")
    assert await nm.rollback_memories("alice", then) == {"rolled_back": 0, "reactivated": 0}
    assert await nm.rollback_memories("alice", datetime.now(UTC) + timedelta(days=1)) == {
        "rolled_back": 0,
        "reactivated": 0,
    }
    assert [m.content for m in await nm.list_memories("bob")] == ["Two", "One"]
    assert (await nm.rollback_memories("alice", datetime(1990, 1, 1, tzinfo=UTC)))["rolled_back"] == 1
    assert await nm.list_memories("alice") == []


async def test_a_merge_of_nodes_is_rolled_back_too(nm: NeuroMemory) -> None:
    for kind, name in (
        ("PERSON", "Bob"),
        ("ORGANIZATION", "Acme"),
        ("PERSON", "Robert"),
        ("LOCATION", "Rome"),
    ):
        await nm.graph.create_node("alice", kind, name)
    await nm.graph.create_edge("alice", "PERSON", "Bob", "WORKS_AT", "ORGANIZATION", "Acme")
    await nm.graph.create_edge("alice", "PERSON", "Robert", "LIVES_IN", "LOCATION", "Rome")
    before, then = await state(nm), await now(nm)
    await nm.graph.merge_nodes("alice", "PERSON", "Bob", "PERSON", "Robert")
    assert await state(nm) != before
    await nm.rollback_memories("alice", then)
    assert await state(nm) == before
    assert {n.id for n in await nm.graph.list_nodes("alice")} == {"Bob", "Acme", "Robert", "Rome"}


async def test_naive_moments_are_refused_and_zones_do_not_matter(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "Likes tea")
    then = memory.created_at.astimezone(timezone(timedelta(hours=9)))
    await nm.update_memory("alice", memory.id, "Likes coffee")
    seen = await nm.get_memory("alice", memory.id, as_of=then)
    assert seen is not None
    assert seen.content == "Likes tea"
    for call in (
        nm.rollback_memories("alice", datetime(2024, 1, 1)),  # noqa: DTZ001
        nm.diff("alice", datetime(2024, 1, 1)),  # noqa: DTZ001
        nm.get_memory("alice", memory.id, as_of=datetime(2024, 1, 1)),  # noqa: DTZ001
    ):
        with pytest.raises(InputError, match="time zone"):
            await call
    await nm.rollback_memories("alice", then)
    assert [m.content for m in await nm.list_memories("alice")] == ["Likes tea"]


async def test_diff_tells_what_was_learned_changed_and_forgotten(nm: NeuroMemory) -> None:
    changed = await nm.add_memory("alice", "Works at Google")
    gone = await nm.add_memory("alice", "Likes tea")
    await nm.kv.batch_set("alice", "profile", {"occupation": "engineer", "identity": "Alice"})
    edge = await relate(nm, "alice", "LIVES_IN", "LOCATION", "Rome")
    then = await now(nm)
    await nm.update_memory("alice", changed.id, "Works at Meta", reason="new job")
    await nm.delete_memory("alice", gone.id)
    new = await nm.add_memory("alice", "Plays chess")
    passing = await nm.add_memory("alice", "Has a cold")
    await nm.delete_memory("alice", passing.id)
    await nm.kv.set("alice", "profile", "occupation", "manager")
    await nm.kv.delete("alice", "profile", "identity")
    await nm.graph.delete_edge("alice", edge.id)
    diff = await nm.diff("alice", then)
    assert diff["learned"] == [new]
    assert [m.id for m in diff["forgotten"]] == [gone.id]
    assert [(c["before"].content, c["after"].content, c["why"]) for c in diff["changed"]] == [
        ("Works at Google", "Works at Meta", "why new job")
    ]
    assert [r["object"] for r in diff["relations"]["forgotten"].values()] == ["Rome"]
    assert diff["profile"] == {
        "learned": {},
        "changed": {"occupation": {"before": "engineer", "after": "manager"}},
        "forgotten": {"identity": "Alice"},
    }
    assert (await nm.diff("alice", then, then))["changed"] == []


async def test_every_table_of_versions_is_rolled_back_or_left_alone_for_a_reason(nm: NeuroMemory) -> None:
    async with database_of(nm).worker() as transaction:
        rows = await transaction.all(
            "SELECT table_name FROM information_schema.columns "
            "WHERE table_schema = 'neuromem' AND column_name = 'superseded_at'"
        )
    known = {one.table for one in VERSIONED_TABLES} | NOT_ROLLED_BACK.keys()
    assert {row.table_name for row in rows} <= known
