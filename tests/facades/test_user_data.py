"""Numbers about a user, what is cold, what is forgotten, and all that is known of an entity."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import InputError
from neuromem.testing.internals import database_of
from tests.support.user_data import relate

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory


async def age(nm: NeuroMemory, memory_id: str, days: int) -> None:
    """Let a memory have been learned and last been of use some days ago."""
    async with database_of(nm).user("alice") as transaction:
        for table, columns in (("memories", ("created_at",)), ("accesses", ("last_at",))):
            sets = ", ".join(f"{c} = {c} - make_interval(days => :days)" for c in columns)
            await transaction.run(
                f"UPDATE {{s}}.{table} SET {sets} WHERE user_id = 'alice' AND memory_id = CAST(:id AS uuid)",
                {"days": days, "id": memory_id},
            )


async def test_stats_count_what_there_is(nm: NeuroMemory) -> None:
    await nm.ingest("alice", "user", "Hello", "s1", auto_extract=False)
    pinned = await nm.add_memory("alice", "Likes tea", "fact")
    await nm.add_memory("alice", "Likes coffee", "fact")
    gone = await nm.add_memory("alice", "Was tired", "episodic")
    await nm.pin("alice", pinned.id)
    await nm.delete_memory("alice", gone.id)
    await nm.kv.batch_set("alice", "profile", {"identity": "Alice", "interests": ["tea", "chess"]})
    await relate(nm, "alice", "LIVES_IN", "LOCATION", "Rome")
    await nm.drain()
    stats = await nm.stats("alice")
    today = datetime.now(UTC).date()
    assert stats["by_week"] == {(today - timedelta(days=today.weekday())).isoformat(): 2}
    assert {k: v for k, v in stats.items() if k != "by_week"} == {
        "memories": 2,
        "by_type": {"fact": 2},
        "pinned": 1,
        "archived": 0,
        "messages": 1,
        "sessions": 1,
        "open_sessions": 1,
        "entities": 2,
        "relations": 1,
        "documents": 0,
        "queue": {},
        "profile": {"identity": 1, "interests": 2},
        "insights": {},
        "undigested": 2,
        "emotions": {"memories": 0, "valence_avg": None, "dominant": None},
    }
    assert (await nm.stats("nobody"))["memories"] == 0


async def test_cold_is_what_no_recall_returned_for_long(nm: NeuroMemory) -> None:
    used, unused, new = [
        await nm.add_memory("alice", text) for text in ("Likes tea", "Has a dog", "Plays chess")
    ]
    for memory in (used, unused):
        await age(nm, memory.id, 100)
    assert {m.id for m in await nm.cold_memories("alice")} == {used.id, unused.id}
    await nm.recall("alice", "dog", as_of=datetime.now(UTC))
    assert len(await nm.cold_memories("alice")) == 2
    await nm.recall("alice", "tea", limit=1)
    assert [m.id for m in await nm.cold_memories("alice")] == [unused.id]
    assert await nm.cold_memories("alice", threshold_days=101) == []
    await age(nm, used.id, 200)
    assert [m.id for m in await nm.cold_memories("alice", limit=1)] == [used.id]
    assert new.id not in {m.id for m in await nm.cold_memories("alice")}
    with pytest.raises(InputError):
        await nm.cold_memories("alice", threshold_days=-1)


async def test_forgetting_puts_away_what_is_unused_old_and_unimportant_and_it_can_come_back(
    nm: NeuroMemory,
) -> None:
    trifle = await nm.add_memory("alice", "Ate toast", importance=1)
    important = await nm.add_memory("alice", "Is allergic to nuts", importance=9)
    pinned = await nm.add_memory("alice", "Ate soup", importance=1)
    await nm.add_memory("alice", "Ate rice", importance=1)
    await nm.pin("alice", pinned.id)
    for memory in (trifle, important, pinned):
        await age(nm, memory.id, 400)
    tried = await nm.forget("alice", dry_run=True)
    assert tried == {"archived": 1, "ids": [trifle.id]}
    assert await nm.forget("alice") == tried
    assert await nm.forget("alice") == {"archived": 0, "ids": []}
    assert trifle.id not in {m.id for m in await nm.list_memories("alice")}
    assert [m.id for m in await nm.list_memories("alice", archived=True)] == [trifle.id]
    assert (await nm.stats("alice"))["archived"] == 1
    await nm.restore_memory("alice", trifle.id)
    assert trifle.id in {m.id for m in await nm.list_memories("alice")}
    assert await nm.list_memories("alice", archived=True) == []


async def test_an_entity_is_known_by_all_its_names(nm: NeuroMemory) -> None:
    await nm.graph.create_node("alice", "ORGANIZATION", "Acme Inc")
    await nm.graph.alias("alice", "ORGANIZATION", "Acme Inc", "Acme")
    await nm.graph.create_edge("alice", "USER", "alice", "WORKS_AT", "ORGANIZATION", "Acme")
    fact = await nm.add_memory(
        "alice", "Started at ACME in May", occurred_at=datetime(2020, 5, 1, tzinfo=UTC)
    )
    other = await nm.add_memory("alice", "Acme Inc pays well")
    await nm.add_memory("alice", "Likes tea")
    message = await nm.ingest("alice", "user", "acme is moving", occurred_at=datetime(2021, 5, 1, tzinfo=UTC))
    await nm.ingest("alice", "user", "The acne is gone")
    await nm.add_memory("bob", "Acme is big")
    for name in ("acme", "ACME inc"):
        known = await nm.entity_profile("alice", name)
        assert (known["entity"], known["aliases"]) == ("Acme Inc", ["Acme"])
        assert {m.id for m in known["facts"]} == {fact.id, other.id}
        assert [m.id for m in known["messages"]] == [message.id]
        assert [str(e) for e in known["relations"]] == ["alice -> WORKS_AT -> Acme Inc"]
        assert [entry["kind"] for entry in known["timeline"]][:2] == ["fact", "message"]
        assert len(known["timeline"]) == 4
    nothing = await nm.entity_profile("alice", "Zorro")
    assert (nothing["entity"], nothing["facts"], nothing["timeline"]) == ("Zorro", [], [])
    chinese = await nm.add_memory("alice", "李雷在北京工作", "fact")
    assert [m.id for m in (await nm.entity_profile("alice", "李雷"))["facts"]] == [chinese.id]
