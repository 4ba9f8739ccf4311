"""No deadlock between deleting a session and embedding its messages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory


async def test_deleting_a_session_while_it_is_embedded_does_not_deadlock(nm: NeuroMemory) -> None:
    for _ in range(15):
        stored = await nm.ingest("alice", "user", "I like tea and long walks")
        await asyncio.gather(nm.drain("alice"), nm.conversations.delete_session("alice", stored.session_id))
    assert (await nm.recall("alice", "tea"))["merged"] == []
