"""``add_memory``: a statement is stored once while it holds, whoever says it at the same time."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.errors import InputError

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database

COUNTS = """
    SELECT (SELECT count(*) FROM {s}.memories), (SELECT count(*) FROM {s}.entries WHERE kind = 'k'),
           (SELECT coalesce(sum(entries), 0) FROM {s}.corpora WHERE kind = 'k')
"""


async def counts(database: Database, user: str = "alice") -> tuple[int, ...]:
    """Return the user's memories, index entries, and how many BM25 counts with."""
    async with database.user(user) as transaction:
        row = await transaction.first(COUNTS)
    assert row is not None
    return tuple(row)


async def test_the_same_statement_from_twenty_at_once_is_one_memory(
    nm: NeuroMemory, database: Database
) -> None:
    added = await asyncio.gather(*(nm.add_memory("alice", "Likes tea", "fact") for _ in range(20)))
    assert len({memory.id for memory in added}) == 1
    assert await counts(database) == (1, 1, 1)
    await nm.drain()
    async with database.user("alice") as transaction:
        assert await transaction.value("SELECT count(*) FROM {s}.vectors") == 1


@pytest.mark.parametrize("again", ["likes tea", "Likes  tea.", " LIKES TEA! ", "Ｌikes tea"])
async def test_the_same_words_written_otherwise_are_the_same_statement(
    nm: NeuroMemory, database: Database, again: str
) -> None:
    first = await nm.add_memory("alice", "Likes tea", "fact", {"from": "cv"}, importance=3)
    assert await nm.add_memory("alice", again, "fact") == first
    assert await counts(database) == (1, 1, 1)


async def test_what_differs_in_more_than_writing_is_another_memory(
    nm: NeuroMemory, database: Database
) -> None:
    monday = datetime(2024, 1, 1, 9, tzinfo=UTC)
    arguments: list[tuple[Any, ...]] = [
        ("alice", "Likes tea", "fact"),
        ("alice", "Likes tea", "general"),
        ("alice", "Likes coffee", "fact"),
        ("alice", "Does not like tea", "fact"),
        ("alice", "Had tea", "episodic", None, monday),
        ("alice", "Had tea", "episodic", None, monday + timedelta(days=1)),
        ("alice", "Had tea", "episodic"),
        ("alice", "Likes C", "fact"),
        ("alice", "Likes C++", "fact"),
    ]
    memories = [await nm.add_memory(*values) for values in arguments]
    assert len({memory.id for memory in memories}) == len(arguments)
    assert await counts(database) == (len(arguments),) * 3


async def test_one_moment_in_two_time_zones_is_one_moment(nm: NeuroMemory) -> None:
    said = datetime(2024, 1, 1, 9, tzinfo=UTC)
    first = await nm.add_memory("alice", "Had tea", "episodic", occurred_at=said)
    same = said.astimezone(timezone(timedelta(hours=8)))
    assert (await nm.add_memory("alice", "Had tea", "episodic", occurred_at=same)).id == first.id


async def test_two_users_may_know_the_same(nm: NeuroMemory) -> None:
    alice, bob = [await nm.add_memory(user, "Likes tea") for user in ("alice", "bob")]
    assert alice.id != bob.id
    assert (alice.user_id, bob.user_id) == ("alice", "bob")


async def test_a_memory_is_what_was_given(nm: NeuroMemory) -> None:
    said = datetime(2024, 1, 1, 9, tzinfo=UTC)
    memory = await nm.add_memory("alice", "Had tea ☕", "episodic", {"mood": ["calm"]}, said, 7)
    assert (memory.content, memory.memory_type, memory.metadata) == (
        "Had tea ☕",
        "episodic",
        {"mood": ["calm"]},
    )
    assert (memory.occurred_at, memory.importance, memory.version) == (said, 7.0, 1)
    assert memory.superseded_at is None
    found = await nm.recall("alice", "tea", memory_type="episodic")
    assert [item["id"] for item in found["merged"]] == [memory.id]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"importance": 0.9}, "importance must be a number from 1 to 10, not 0.9"),
        ({"importance": 10.1}, "importance"),
        ({"importance": math.nan}, "importance"),
        ({"importance": "high"}, "importance must be a number from 1 to 10, not 'high'"),
        ({"importance": True}, "importance"),
        ({"memory_type": "dream"}, "'dream' is not known; use one of fact"),
        ({"memory_type": "message"}, "'message' is not known"),
        ({"content": ""}, "empty"),
        ({"user_id": ""}, "user_id"),
        ({"occurred_at": datetime(2024, 1, 1)}, "naive"),  # noqa: DTZ001
        ({"metadata": {"a": math.nan}}, "JSON"),
    ],
)
async def test_bad_input_is_refused_and_stores_nothing(
    nm: NeuroMemory, database: Database, bad: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        await nm.add_memory(**{"user_id": "alice", "content": "Likes tea", **bad})
    assert await counts(database) == (0, 0, 0)
