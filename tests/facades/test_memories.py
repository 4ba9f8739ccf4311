"""Reading, changing, deleting and restoring memories."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import ConflictError, InputError, NotFoundError
from neuromem.testing.internals import database_of
from tests.support.user_data import supersede

if TYPE_CHECKING:
    from neuromem.domain.memories import Memory
    from neuromem.memory import NeuroMemory
    from neuromem.store.memories.query import Order

NOBODY = "00000000-0000-0000-0000-000000000000"


async def found(nm: NeuroMemory, query: str, **options: object) -> list[str]:
    result = await nm.recall("alice", query, **options)  # type: ignore[arg-type]
    return [item["content"] for item in result["merged"]]


async def test_an_update_is_a_new_version_that_recall_finds_and_the_old_one_is_history(
    nm: NeuroMemory,
) -> None:
    old = await nm.add_memory("alice", "Drinks coffee", importance=3)
    new = await nm.update_memory("alice", old.id, "Drinks tea", importance=8, reason="she told me")
    assert (new.id, new.version, new.content, new.importance) == (old.id, 2, "Drinks tea", 8)
    await nm.drain()
    assert await found(nm, "tea") == ["Drinks tea"]
    assert await found(nm, "coffee", as_of=old.created_at) == ["Drinks coffee"]
    history = await nm.memory_history("alice", old.id)
    assert [(v.version, v.content, v.by, v.why, v.ended) for v in history] == [
        (1, "Drinks coffee", "user", None, "updated"),
        (2, "Drinks tea", "user", "why she told me", None),
    ]


async def test_a_change_beside_the_text_keeps_what_the_memory_is_found_by(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "Plays the violin")
    await nm.drain()
    changed = await nm.update_memory("alice", memory.id, metadata={"a": 1}, memory_type="fact")
    result = await nm.recall("alice", "violin", memory_type="fact")
    assert [(i["content"], i["metadata"]) for i in result["vector_results"]] == [
        ("Plays the violin", {"a": 1})
    ]
    assert [i["content"] for i in result["bm25_results"]] == ["Plays the violin"]
    assert result["pending"] == 0
    assert await nm.update_memory("alice", memory.id, "Plays the violin") == changed


async def test_of_two_updates_at_once_one_wins_and_the_other_is_told(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "Lives in Berlin")
    results = await asyncio.gather(
        *(nm.update_memory("alice", memory.id, f"Lives in {city}", version=1) for city in ("Paris", "Rome")),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["ConflictError", "Memory"]
    current = await nm.get_memory("alice", memory.id)
    assert current is not None
    assert current.version == 2


async def test_what_another_memory_says_already_cannot_be_said_by_an_update(nm: NeuroMemory) -> None:
    await nm.add_memory("alice", "Likes tea")
    other = await nm.add_memory("alice", "Likes coffee")
    with pytest.raises(ConflictError, match="says the same already"):
        await nm.update_memory("alice", other.id, "likes  TEA.")
    assert [m.content for m in await nm.list_memories("alice")] == ["Likes coffee", "Likes tea"]


async def test_what_belongs_to_another_user_is_not_there(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "Likes tea")
    assert await nm.get_memory("bob", memory.id) is None
    assert await nm.delete_memory("bob", memory.id) is False
    for call in (
        nm.update_memory("bob", memory.id, "x"),
        nm.memory_history("bob", memory.id),
        nm.pin("bob", memory.id),
        nm.restore_memory("bob", memory.id),
    ):
        with pytest.raises(NotFoundError):
            await call
    assert (await nm.get_memory("alice", memory.id)) == memory


async def test_a_deleted_memory_stays_in_the_past_and_comes_back(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "Likes tea")
    await nm.drain()
    assert await nm.delete_memory("alice", memory.id) is True
    assert await nm.delete_memory("alice", memory.id) is False
    assert await nm.get_memory("alice", memory.id) is None
    assert await found(nm, "tea") == []
    assert await found(nm, "tea", as_of=memory.created_at) == ["Likes tea"]
    back = await nm.restore_memory("alice", memory.id)
    assert (back.id, back.version, back.content) == (memory.id, 2, "Likes tea")
    assert await found(nm, "tea") == ["Likes tea"]
    assert [(v.by, v.ended) for v in await nm.memory_history("alice", memory.id)] == [
        ("user", "deleted"),
        ("restore", None),
    ]


async def test_an_erased_memory_leaves_nothing(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "Likes tea")
    await nm.update_memory("alice", memory.id, "Likes green tea")
    await nm.drain()
    assert await nm.delete_memory("alice", memory.id, erase=True) is True
    assert await found(nm, "tea", as_of=memory.created_at) == []
    with pytest.raises(NotFoundError):
        await nm.memory_history("alice", memory.id)
    database = database_of(nm)
    async with database.user("alice") as transaction:
        for table in ("memories", "memory_sources", "entries", "postings", "vectors", "jobs"):
            assert await transaction.value(f"SELECT count(*) FROM {{s}}.{table}") == 0, table


async def test_lists_are_filtered_ordered_and_paged(nm: NeuroMemory) -> None:
    day = datetime(2024, 5, 1, tzinfo=UTC)
    for i in range(7):
        await nm.add_memory(
            "alice",
            f"Thing {i}",
            "fact" if i % 2 else "general",
            {"n": i % 3},
            occurred_at=day + timedelta(days=(i * 5) % 7),
            importance=1 + i % 4,
        )
    everything = await nm.list_memories("alice")
    assert [m.content for m in everything] == [f"Thing {i}" for i in range(6, -1, -1)]
    assert everything.cursor is None
    orders: tuple[Order, ...] = ("created_at", "occurred_at", "importance")
    for order in orders:
        for descending in (True, False):
            seen: list[Memory] = []
            cursor = None
            while True:
                page = await nm.list_memories(
                    "alice", limit=2, cursor=cursor, order=order, descending=descending
                )
                seen += page
                cursor = page.cursor
                if cursor is None:
                    break
            assert len(seen) == len({m.id for m in seen}) == 7
            values = [getattr(m, order) for m in seen]
            assert values == sorted(values, reverse=descending)
    assert {m.content for m in await nm.list_memories("alice", "fact")} == {"Thing 1", "Thing 3", "Thing 5"}
    assert {m.content for m in await nm.list_memories("alice", metadata={"n": 2})} == {"Thing 2", "Thing 5"}
    assert {m.content for m in await nm.list_memories("alice", min_importance=4)} == {"Thing 3"}
    after = await nm.list_memories("alice", event_after=day + timedelta(days=5))
    assert len(after) == 2
    page = await nm.list_memories("alice", limit=1)
    with pytest.raises(InputError, match="another order"):
        await nm.list_memories("alice", limit=1, cursor=page.cursor, order="importance")
    with pytest.raises(InputError, match="cursor"):
        await nm.list_memories("alice", cursor="nonsense")


async def test_time_range_and_recent(nm: NeuroMemory) -> None:
    first = await nm.add_memory("alice", "First")
    second = await nm.add_memory("alice", "Second", "fact")
    assert await nm.get_memories_by_time_range("alice", first.created_at) == [second, first]
    assert await nm.get_memories_by_time_range("alice", first.created_at, second.created_at) == [first]
    assert await nm.get_memories_by_time_range("alice", first.created_at, memory_type="fact") == [second]
    assert await nm.get_recent_memories("alice", days=1, memory_types=["fact"]) == [second]
    assert await nm.get_recent_memories("alice", limit=1) == [second]
    with pytest.raises(InputError, match="time zone"):
        await nm.get_memories_by_time_range("alice", datetime(2024, 1, 1))  # noqa: DTZ001
    with pytest.raises(InputError, match="before start_time"):
        await nm.get_memories_by_time_range("alice", second.created_at, first.created_at)


async def test_deleting_by_filter_can_be_tried_first_and_spares_what_is_pinned(nm: NeuroMemory) -> None:
    for i in range(4):
        await nm.add_memory("alice", f"Old {i}", metadata={"old": True})
    kept = await nm.add_memory("alice", "Old and dear", metadata={"old": True})
    await nm.pin("alice", kept.id)
    await nm.add_memory("alice", "New")
    tried = await nm.delete_memories("alice", metadata={"old": True}, dry_run=True)
    assert tried["deleted"] == len(await nm.list_memories("alice")) - 2 == 4
    assert await nm.delete_memories("alice", metadata={"old": True}) == tried
    assert {m.content for m in await nm.list_memories("alice")} == {"Old and dear", "New"}
    with pytest.raises(InputError, match="without a filter"):
        await nm.delete_memories("alice")


async def test_what_has_expired_is_gone_at_that_moment_and_may_be_said_again(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "The code is 1234")
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    await nm.update_memory("alice", memory.id, expires_at=expires_at)
    before = (await nm.list_memories("alice"))[0].created_at
    assert await found(nm, "code") == ["The code is 1234"]
    await asyncio.sleep((expires_at - datetime.now(UTC)).total_seconds() + 0.05)
    assert await found(nm, "code") == []
    assert await nm.list_memories("alice") == []
    assert await nm.get_memory("alice", memory.id) is None
    assert await found(nm, "code", as_of=before) == ["The code is 1234"]
    assert await found(nm, "code", as_of=expires_at) == []
    again = await nm.add_memory("alice", "The code is 1234")
    assert again.id != memory.id
    assert await nm.list_memories("alice") == [again]
    assert (await nm.memory_history("alice", memory.id))[-1].ended == "expired"
    with pytest.raises(InputError, match="over already"):
        await nm.update_memory("alice", again.id, expires_at=expires_at)
    with pytest.raises(ConflictError):
        await nm.restore_memory("alice", memory.id)


async def test_what_is_pinned_is_not_superseded_by_what_is_said_later(nm: NeuroMemory) -> None:
    await supersede(nm, "alice", "Lives in Rome")
    (home,) = await nm.list_memories("alice")
    pinned = await nm.pin("alice", home.id)
    assert (pinned.pinned, pinned.version) == (True, 2)
    await supersede(nm, "alice", "Lives in Paris")
    assert {m.content for m in await nm.list_memories("alice")} == {"Lives in Rome", "Lives in Paris"}
    assert await nm.list_memories("alice", pinned=True) == [pinned]
    await nm.pin("alice", home.id, pinned=False)
    await supersede(nm, "alice", "Lives in Oslo")
    assert [m.content for m in await nm.list_memories("alice")] == ["Lives in Oslo"]
