from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory


async def test_what_was_ingested_is_recalled_at_once_and_again_after_embedding(nm: NeuroMemory) -> None:
    message = await nm.ingest("alice", "user", "I work at Google as a backend engineer")
    at_once = await nm.recall("alice", "Who works at Google?")
    assert [item["id"] for item in at_once["bm25_results"]] == [message.id]
    await nm.drain("alice")
    later = await nm.recall("alice", "Who works at Google?")
    assert later["pending"] == 0
    assert [item["id"] for item in later["vector_results"]] == [message.id]
