"""Messages that were found, with the turns around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neuromem import InputError

if TYPE_CHECKING:
    from neuromem.domain.recall_result import RecallItem
    from neuromem.memory import NeuroMemory

TALK = ["Hello there", "What is your cat called?", "Momo, like in the book", "Nice name", "See you"]


async def talk(nm: NeuroMemory, user: str, session: str = "s") -> None:
    for i, text in enumerate(TALK):
        await nm.ingest(
            user, "user" if i % 2 else "assistant", text, session_id=session, name=f"{user}{i % 2}"
        )


async def momo(nm: NeuroMemory, user: str, **options: object) -> RecallItem:
    found = await nm.recall(user, "Momo", **options)  # type: ignore[arg-type]
    return next(item for item in found["merged"] if item["content"] == TALK[2])


async def test_neighbors_come_in_order_from_the_same_session_of_the_same_user(nm: NeuroMemory) -> None:
    for user in ("alice", "bob"):
        await talk(nm, user)
    await talk(nm, "alice", "other")
    item = await momo(nm, "alice", neighbors=1)
    assert [(turn["distance"], turn["name"], turn["content"]) for turn in item["neighbors"]] == [
        (-1, "alice1", TALK[1]),
        (1, "alice1", TALK[3]),
    ]
    everything = await momo(nm, "alice", neighbors=20)
    assert [turn["content"] for turn in everything["neighbors"]] == [*TALK[:2], *TALK[3:]]
    assert "neighbors" not in await momo(nm, "alice")


async def test_the_past_does_not_show_what_was_said_later(nm: NeuroMemory) -> None:
    await talk(nm, "alice")
    found = await nm.recall("alice", "Momo")
    then = next(item["created_at"] for item in found["merged"] if item["content"] == TALK[2])
    item = await momo(nm, "alice", neighbors=2, as_of=then)
    assert [turn["distance"] for turn in item["neighbors"]] == [-2, -1]


async def test_a_block_for_a_prompt_shows_a_message_between_its_neighbors(nm: NeuroMemory) -> None:
    await talk(nm, "alice")
    block = await nm.context("alice", "Momo", neighbors=1, memory_type="message")
    assert f"alice1: {TALK[1]} / {TALK[2]} / alice1: {TALK[3]}" in block["text"]


@pytest.mark.parametrize("wrong", [-1, 21, 1.5])
async def test_how_many_neighbors_is_checked(nm: NeuroMemory, wrong: int) -> None:
    with pytest.raises(InputError, match="neighbors"):
        await nm.recall("alice", "Momo", neighbors=wrong)
