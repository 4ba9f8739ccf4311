"""Callbacks and observers hear of every call, whatever they do about it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.errors import ProviderUnavailableError
from neuromem.testing import HashEmbedding
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYS = {"model", "text_count", "duration_ms", "success", "error"}


async def test_embedding_calls_of_both_paths_are_told_with_the_same_payload(database_url: str) -> None:
    heard: list[dict[str, Any]] = []
    async with opened(database_url, on_embedding_call=heard.append) as nm:
        await nm.conversations.add_messages_batch(
            "alice", [{"role": "user", "content": f"tea {i}"} for i in range(5)]
        )
        await nm.drain()
        await nm.recall("alice", "Who likes tea?")
    assert [set(event) for event in heard] == [KEYS] * len(heard)
    assert sum(event["text_count"] for event in heard[:-1]) == 5
    assert heard[-1]["text_count"] == 1
    assert all(event["success"] and event["error"] is None for event in heard)
    assert all(event["model"] == "hash" and event["duration_ms"] >= 0 for event in heard)


async def test_a_failed_call_is_told_with_its_error(database_url: str) -> None:
    class Down(HashEmbedding):
        async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
            raise ProviderUnavailableError("the vendor is down", provider="fake")

    heard = asyncio.Queue[dict[str, Any]]()
    settings = {"work": {"drain_timeout": 0.0}}
    async with opened(database_url, embedding=Down(), on_embedding_call=heard.put, settings=settings) as nm:
        await nm.ingest("alice", "user", "tea")
        event = await heard.get()
        assert set(event) == KEYS
        assert (event["success"], event["text_count"]) == (False, 1)
        assert event["error"] == "ProviderUnavailableError: the vendor is down"


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_callback_that_fails_is_logged_and_harms_nothing(
    database_url: str, caplog: pytest.LogCaptureFixture, asynchronous: bool
) -> None:
    def broken(event: Any) -> None:
        raise LookupError("in the callback")

    async def broken_later(event: Any) -> None:
        raise LookupError("in the callback")

    callback = broken_later if asynchronous else broken
    async with opened(database_url, on_embedding_call=callback) as nm:
        await nm.ingest("alice", "user", "tea")
        with caplog.at_level(logging.ERROR, "neuromem"):
            assert await nm.drain() == 0
        assert (await nm.recall("alice", "tea"))["vector_results"]
    records = [record for record in caplog.records if "on_embedding_call" in record.getMessage()]
    assert records
    assert "in the callback" in str(records[0].exc_info)


async def test_a_callback_can_be_set_and_taken_away_while_open(database_url: str) -> None:
    heard: list[Any] = []
    async with opened(database_url) as nm:
        await nm.recall("alice", "one")
        nm.on_embedding_call = heard.append
        await nm.recall("alice", "two")
        nm.on_embedding_call = None
        await nm.recall("alice", "three")
    assert len(heard) == 1


async def test_what_a_callback_does_to_its_payload_stays_there(database_url: str) -> None:
    def vandal(event: dict[str, Any]) -> None:
        event.clear()

    async with opened(database_url, on_embedding_call=vandal) as nm:
        await nm.ingest("alice", "user", "tea")
        assert await nm.drain() == 0
