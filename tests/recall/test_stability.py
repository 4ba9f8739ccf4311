"""What users of other systems suffer in recall: rankings that move by reading, old memories buried, odd values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import InputError

if TYPE_CHECKING:
    from neuromem.domain.messages import MessageDict
    from neuromem.memory import NeuroMemory

SUBJECTS = ["piano", "garden", "bicycle", "novel", "kitchen", "harbor", "winter", "market"]


async def test_reading_does_not_change_what_is_read_next(nm: NeuroMemory) -> None:
    """No popularity: what is recalled often must not come first for ever."""
    for i, subject in enumerate(SUBJECTS * 5):
        await nm.add_memory("alice", f"a note on the {subject}, number {i}, and the lake")
    await nm.drain()
    before = await nm.recall("alice", "the garden by the lake")
    for _ in range(25):
        await nm.recall("alice", "the piano by the lake", limit=5)
    after = await nm.recall("alice", "the garden by the lake")
    assert [item["id"] for item in after["merged"]] == [item["id"] for item in before["merged"]]
    scores = [item["relevance"] for item in before["merged"]]
    assert [item["relevance"] for item in after["merged"]] == pytest.approx(scores)


async def test_what_was_learned_years_ago_is_not_buried_by_what_is_new(nm: NeuroMemory) -> None:
    now = datetime.now(UTC)
    await nm.ingest(
        user_id="alice",
        role="user",
        content="My allergy to penicillin was found in the hospital",
        occurred_at=now - timedelta(days=5 * 365),
    )
    for i in range(60):
        await nm.ingest(
            user_id="alice",
            role="user",
            content=f"Went to the {SUBJECTS[i % len(SUBJECTS)]} again, visit {i} of the hospital garden",
            occurred_at=now - timedelta(hours=i),
        )
    await nm.drain()
    found = await nm.recall("alice", "Is there an allergy to penicillin?", limit=3)
    assert "penicillin" in found["merged"][0]["content"]


async def test_a_time_in_the_question_does_not_bury_what_is_strongly_relevant(nm: NeuroMemory) -> None:
    await nm.ingest(
        user_id="alice",
        role="user",
        content="The password of the office printer is swordfish",
        occurred_at=datetime(2020, 1, 1, tzinfo=UTC),
    )
    for i in range(40):
        await nm.ingest(
            user_id="alice",
            role="user",
            content=f"A walk to the {SUBJECTS[i % len(SUBJECTS)]}, number {i}",
            occurred_at=datetime(2023, 5, 1 + i % 28, tzinfo=UTC),
        )
    await nm.drain()
    for question in ("What is the password of the printer in May 2023?", "2023年五月 password printer?"):
        found = await nm.recall("alice", question, limit=3)
        assert "swordfish" in found["merged"][0]["content"]


@pytest.mark.parametrize(
    "odd",
    [
        {"importance": "high", "user_id": "bob", "n": 10**30, "deep": {"a": [{"b": None}]}},
        {"": "", "created_at": "not a date", "score": [], "memory_type": 5},
        {"emoji": "👩‍👩‍👧", "quote": "'; --", "backslash": "\\u0041 \\", "float": 0.1},
    ],
)
async def test_odd_metadata_of_one_memory_hides_none_and_moves_none(
    nm: NeuroMemory, odd: dict[str, object]
) -> None:
    await nm.add_memory("alice", "the boat is called Marlin")
    await nm.add_memory("alice", "the boat has a red sail", metadata=odd)
    await nm.add_memory("bob", "bob has no boat")
    await nm.drain()
    found = await nm.recall("alice", "the boat")
    by_content = {item["content"]: item for item in found["merged"]}
    assert set(by_content) == {"the boat is called Marlin", "the boat has a red sail"}
    assert by_content["the boat has a red sail"]["metadata"] == odd
    assert [item["content"] for item in (await nm.recall("bob", "the boat"))["merged"]] == ["bob has no boat"]


@pytest.mark.parametrize("odd", [{"x": float("nan")}, {"x": float("inf")}, {"x": "a\x00b"}, {"x": object()}])
async def test_metadata_that_no_database_can_hold_is_refused_before_anything_is_stored(
    nm: NeuroMemory, odd: dict[str, object]
) -> None:
    with pytest.raises(InputError, match="metadata"):
        await nm.add_memory("alice", "the boat", metadata=odd)
    assert await nm.get_recent_memories("alice") == []


async def test_a_small_user_beside_a_large_one_gets_everything(nm: NeuroMemory) -> None:
    """An index over all users' vectors would spend its candidates on the large user's rows."""
    for user, whose, count in (("large", "the harbor", 1000), ("small", "my uncle", 5)):
        said: list[MessageDict] = [
            {"role": "user", "content": f"the boat of {whose}, entry {i}"} for i in range(count)
        ]
        await nm.conversations.add_messages_batch(user, said)
    await nm.drain()
    found = await nm.recall("small", "the boat of the harbor", limit=20)
    assert len(found["vector_results"]) == 5
    assert len(found["merged"]) == 5
