"""Documents in the past: as they were known then, unless they were erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.user_data import now

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.memory import NeuroMemory


async def found(nm: NeuroMemory, as_of: datetime | None = None) -> set[str]:
    answer = await nm.recall("alice", "What do whales eat?", memory_type="document", as_of=as_of)
    return {item["content"] for item in answer["merged"]}


async def test_the_past_knows_what_was_deleted_and_not_what_came_later(nm: NeuroMemory) -> None:
    before = await now(nm)
    first = await nm.files.create_from_text("alice", "first", "Whales eat krill.")
    between = await now(nm)
    second = await nm.files.create_from_text("alice", "second", "Whales eat fish.")
    await nm.drain()
    assert await nm.files.delete("alice", first.id)
    assert not await nm.files.delete("alice", first.id)
    assert await found(nm) == {"Whales eat fish."}
    assert [document.id for document in await nm.files.list("alice")] == [second.id]
    assert (await nm.stats("alice"))["documents"] == 1
    assert (await found(nm, before), await found(nm, between)) == (set(), {"Whales eat krill."})
    data = await nm.export_user_data("alice")
    await nm.import_user_data("bob", data)
    assert [document.filename for document in await nm.files.list("bob")] == ["second"]
    assert await nm.files.delete("alice", first.id, erase=True)
    assert await found(nm, between) == set()
    assert len((await nm.export_user_data("alice"))["passages"]) == 1
