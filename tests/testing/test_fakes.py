"""The fakes do what a test would rely on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import InputError, NotFoundError, ProviderResponseError, RateLimitError
from neuromem.plugin import ChatReply
from neuromem.testing import FixedClock, HashEmbedding, MemoryStorage, RecordingLLM, ScriptedLLM
from neuromem.testing.contracts.providers import cosine

if TYPE_CHECKING:
    from pathlib import Path

    from neuromem.plugin import ChatMessage

ASKED: list[ChatMessage] = [{"role": "user", "content": "Hello"}]


async def test_hashes_of_texts_that_share_words_are_near() -> None:
    embedding = HashEmbedding()
    work, job, weather = await embedding.embed_batch(
        ["Alice works at Google", "Where does Alice work? Google!", "It rained all day"]
    )
    assert cosine(work, job) > 0.5 > cosine(work, weather)
    assert embedding.calls[0][0] == "Alice works at Google"


async def test_a_script_has_texts_objects_functions_and_faults() -> None:
    llm = ScriptedLLM(
        "hello",
        {"facts": []},
        lambda messages: messages[-1]["content"].upper(),
        RateLimitError("slow", provider="x"),
    )
    assert [await llm.chat(ASKED) for _ in range(3)] == ["hello", '{"facts": []}', "HELLO"]
    assert llm.left == 1
    with pytest.raises(RateLimitError):
        await llm.chat(ASKED)
    with pytest.raises(ProviderResponseError, match="ended before call 5"):
        await llm.chat(ASKED)
    assert llm.calls == [ASKED] * 5


async def test_what_was_recorded_is_replayed_with_its_cost(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    recorder = RecordingLLM(ScriptedLLM(ChatReply("豆包", prompt_tokens=7), "bye", model="real"), path)
    first = [await recorder.chat(ASKED), await recorder.chat(ASKED)]
    llm = ScriptedLLM.replay(path)
    again = [await llm.chat(ASKED), await llm.chat(ASKED)]
    assert again == first == ["豆包", "bye"]
    assert isinstance(again[0], ChatReply)
    assert again[0].prompt_tokens == 7
    assert "Hello" not in path.read_text(encoding="utf-8")


async def test_the_storage_shows_what_it_holds() -> None:
    storage = MemoryStorage()
    await storage.upload("a", b"1", "text/plain")
    assert (storage.objects, storage.content_types) == ({"a": b"1"}, {"a": "text/plain"})
    with pytest.raises(NotFoundError, match="'b'"):
        await storage.presigned_url("b")


def test_the_clock_moves_when_it_is_told_to() -> None:
    clock = FixedClock(datetime(2026, 3, 2, tzinfo=UTC))
    assert clock.now() == clock.now()
    assert clock.advance(timedelta(days=1)) == clock.now() == datetime(2026, 3, 3, tzinfo=UTC)
    with pytest.raises(InputError, match="timezone"):
        FixedClock(datetime(2026, 3, 2))  # noqa: DTZ001 - that is what is refused
