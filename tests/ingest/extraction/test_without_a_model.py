"""What happens, and what is said, when there is no model; and what a model is not asked for."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from neuromem.domain.extraction import ExtractionStrategy
from tests.conftest import opened
from tests.ingest.extraction.conftest import FAST
from tests.ingest.extraction.model import answering, asked, llm
from tests.ingest.extraction.test_end_to_end import GOOGLE

if TYPE_CHECKING:
    import pytest

    from tests.support.http_server import HttpServer


async def test_without_model_and_rules_messages_are_found_and_the_log_says_so_once(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="neuromem"):
        async with opened(database_url, llm="none", settings={**FAST, "disable": ["rules"]}) as nm:
            for i in range(3):
                await nm.ingest("alice", "user", f"I like tea number {i}", "s")
            await nm.drain()
            found = await nm.recall("alice", "tea")
            assert len(found["merged"]) == len(found["vector_results"]) == 3
            assert found["pending"] == 0
            left = await nm.conversations.get_unextracted_messages("alice")
            assert {m.extraction and m.extraction.state for m in left} == {"none"}
    said = [record.getMessage() for record in caplog.records if "No LLM was chosen" in record.getMessage()]
    assert said == ["No LLM was chosen: messages are stored, indexed and recalled, and not extracted."]


async def test_relations_are_asked_for_and_kept_only_when_the_graph_is_on(
    database_url: str, model: HttpServer
) -> None:
    model.always = answering(lambda shown: GOOGLE)
    async with opened(database_url, llm=llm(model), settings=FAST) as nm:
        await nm.ingest("alice", "user", "I work at Google")
        await nm.drain()
        nm.graph_enabled = True
        assert await nm.graph.get_neighbors("alice", "USER", "alice") == []
        await nm.ingest("bob", "user", "I work at Google too")
        await nm.drain()
        assert len(await nm.graph.get_neighbors("bob", "USER", "bob")) == 1
    without, with_graph = (request.json for request in model.requests)
    shape = without["response_format"]["json_schema"]["schema"]["properties"]
    assert "relations" not in shape
    assert '"relations"' not in without["messages"][0]["content"]
    assert "relations" in with_graph["response_format"]["json_schema"]["schema"]["properties"]


async def test_a_session_that_begins_is_read_with_the_users_last_words_elsewhere(
    database_url: str, model: HttpServer
) -> None:
    now = datetime(2023, 5, 8, 12, tzinfo=UTC)
    strategy = ExtractionStrategy(idle_timeout=600)
    async with opened(database_url, llm=llm(model), settings=FAST, extraction=strategy) as nm:
        for minutes, session, text in (
            (-60, "old", "long ago"),
            (-5, "before", "My cat is ill"),
            (0, "new", "She is better now"),
        ):
            await nm.ingest("alice", "user", text, session, occurred_at=now + timedelta(minutes=minutes))
            await nm.drain()
    shown = [(turn["text"], turn.get("new", False)) for turn in asked(model.requests[-1])["conversation"]]
    assert shown == [("My cat is ill", False), ("She is better now", True)]
