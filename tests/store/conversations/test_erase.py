"""What deleting a session takes back of what extraction had made of it, end to end."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import opened
from tests.ingest.extraction.model import answering, llm
from tests.support.http_server import running_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database

FAST = {"work": {"retry_delay": 0.01, "poll": 0.05}}


def told(shown: dict[str, Any]) -> dict[str, Any]:
    """Make of "I work at X and like Y" a fact, a relation and an interest."""
    found: dict[str, Any] = {"facts": [], "relations": [], "profile": {"interests": []}}
    for turn in shown["conversation"]:
        if not turn.get("new"):
            continue
        company, taste = turn["text"].removeprefix("I work at ").split(" and like ")
        found["facts"].append(
            {
                "content": f"Works at {company}",
                "subject": "alice",
                "states": "WORKS_AT",
                "sources": [turn["id"]],
            }
        )
        found["relations"].append(
            {
                "subject": "alice",
                "subject_type": "USER",
                "relation": "WORKS_AT",
                "object": company,
                "object_type": "ORGANIZATION",
                "sources": [turn["id"]],
            }
        )
        found["profile"]["interests"].append(taste)
    return found


@pytest.fixture
async def nm(database_url: str) -> AsyncIterator[NeuroMemory]:
    """Extracts with a model over HTTP; in session one she is at Google, in two at Meta."""
    with running_server() as server:
        server.always = answering(told)
        async with opened(database_url, llm=llm(server), graph_enabled=True, settings=FAST) as memory:
            for session, text in (("one", "Google and like tea"), ("two", "Meta and like Tea")):
                await memory.ingest("alice", "user", f"I work at {text}", session)
                await memory.drain()
            yield memory


async def known(nm: NeuroMemory) -> tuple[list[str], list[str], Any]:
    """Current facts, relations and interests."""
    facts = await nm.recall("alice", "Where does she work?", memory_type="fact")
    edges = await nm.graph.list_edges("alice")
    interests = await nm.kv.get("alice", "profile", "interests")
    return [item["content"] for item in facts["merged"]], [str(edge) for edge in edges], interests


async def test_the_last_session_gone_the_one_before_holds_again(nm: NeuroMemory) -> None:
    assert await known(nm) == (["Works at Meta"], ["alice -> WORKS_AT -> Meta"], ["tea"])
    await nm.conversations.delete_session("alice", "two")
    await nm.drain()
    assert await known(nm) == (["Works at Google"], ["alice -> WORKS_AT -> Google"], ["tea"])


async def test_the_first_session_gone_the_last_one_still_holds(nm: NeuroMemory) -> None:
    await nm.conversations.delete_session("alice", "one")
    assert await known(nm) == (["Works at Meta"], ["alice -> WORKS_AT -> Meta"], ["tea"])
    assert [node.id for node in await nm.graph.list_nodes("alice")] == ["alice", "Meta"]


async def test_all_sessions_gone_nothing_derived_is_left(nm: NeuroMemory, database: Database) -> None:
    for session in ("one", "two"):
        await nm.conversations.delete_session("alice", session)
    assert await known(nm) == ([], [], None)
    async with database.user("alice") as transaction:
        for table in (
            "memories",
            "memory_sources",
            "nodes",
            "node_names",
            "edges",
            "edge_sources",
            "kv",
            "kv_sources",
            "messages",
            "entries",
            "postings",
            "vectors",
            "jobs",
            "extractions",
        ):
            rows = await transaction.value(
                f"SELECT count(*) FROM {{s}}.{table} WHERE user_id = :u", {"u": "alice"}
            )
            assert rows == 0, table
        assert await transaction.value("SELECT sum(entries) + sum(tokens) FROM {s}.corpora") == 0


async def test_a_session_deleted_while_it_is_extracted_leaves_nothing(
    database_url: str, database: Database
) -> None:
    asked, go = threading.Event(), threading.Event()

    def wait(shown: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        go.wait(30)
        return told(shown)

    with running_server() as server:
        server.always = answering(wait)
        async with opened(database_url, llm=llm(server), graph_enabled=True, settings=FAST) as nm:
            await nm.ingest("alice", "user", "I work at Google and like tea", "one")
            assert await asyncio.to_thread(asked.wait, 30)
            await nm.conversations.delete_session("alice", "one")
            go.set()
            await nm.drain()
            assert await known(nm) == ([], [], None)
    async with database.user("alice") as transaction:
        for table in ("memories", "nodes", "edges", "kv", "entries", "vectors", "jobs", "extractions"):
            rows = await transaction.value(
                f"SELECT count(*) FROM {{s}}.{table} WHERE user_id = :u", {"u": "alice"}
            )
            assert rows == 0, table
