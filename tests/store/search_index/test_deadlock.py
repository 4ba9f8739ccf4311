"""What is deleted while it is being embedded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory


async def test_deleting_what_is_being_embedded_waits_for_nobody_who_waits(nm: NeuroMemory) -> None:
    for _ in range(15):
        stored = await nm.ingest("alice", "user", "I like tea and long walks")
        await asyncio.gather(nm.drain("alice"), nm.conversations.delete_session("alice", stored.session_id))
    assert (await nm.recall("alice", "tea"))["merged"] == []
