"""Recall among many: users at the same time, a database that may only be read, connections that die."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from neuromem import DatabaseUnavailableError, RecallError
from tests.conftest import opened

if TYPE_CHECKING:
    from neuromem.domain.recall_result import RecallResult
    from tests.conftest import Server

USERS = [f"user{i}" for i in range(10)]


async def test_users_never_mix_on_pooled_connections(database_url: str) -> None:
    """200 recalls on 3 connections: row level security is told the user anew in every transaction."""
    async with opened(database_url, pool_size=3, graph_enabled=True) as nm:
        for user in USERS:
            await nm.conversations.add_messages_batch(
                user,
                [{"role": "user", "content": f"the secret of {user}, part {i}"} for i in range(20)],
                session_id="default",
            )
            await nm.add_memory(user, f"the secret of {user} as a fact", "fact")
            await nm.kv.set(user, "profile", "identity", user)
            await nm.graph.create_node(user, "PERSON", "Me")
            await nm.graph.create_node(user, "ENTITY", user)
            await nm.graph.create_edge(user, "PERSON", "Me", "OWNS", "ENTITY", user)
        await nm.drain()

        async def asked(user: str) -> tuple[str, RecallResult]:
            question = "What is the secret of Me? part"
            return user, await nm.recall(user, question, limit=50, neighbors=1, explain=True)

        answers = await asyncio.gather(*(asked(USERS[i % 10]) for i in range(200)))
    for user, answer in answers:
        assert len(answer["merged"]) == 21
        arms = ("merged", "vector_results", "bm25_results", "conversation_results")
        texts = [item["content"] for arm in arms for item in answer[arm]]  # type: ignore[literal-required]
        texts += [turn["content"] for item in answer["merged"] for turn in item.get("neighbors", [])]
        assert all(f"of {user}" in text and f"of {user}0" not in text for text in texts)
        assert answer["graph_context"] == [f"Me -> OWNS -> {user}"]
        assert answer["user_profile"] == {"identity": user}


async def test_recall_and_context_write_nothing(database_url: str) -> None:
    async with opened(database_url) as nm:
        fact = await nm.add_memory("alice", "likes tea", "fact")
        await nm.drain()
    only_read = f"{database_url}&options=-c%20default_transaction_read_only%3Don"
    async with opened(only_read, worker=False, auto_migrate=False) as nm:
        answer = await nm.recall("alice", "tea", explain=True)
        assert [item["id"] for item in answer["merged"]] == [fact.id]
        assert fact.id in (await nm.context("alice", "tea"))["source_ids"]
        assert (await nm.explain_missing("alice", "tea", fact.id))["found"]


async def test_connections_that_are_cut_are_replaced(server: Server, database_url: str) -> None:
    """A server that restarts costs what was under way, with an error that says so, and nothing after it."""
    name = database_url.rpartition("/")[2].partition("?")[0]
    async with opened(database_url, worker=False) as nm:
        await nm.add_memory("alice", "likes tea", "fact")
        for _ in range(3):
            await asyncio.gather(*(nm.recall("alice", "tea") for _ in range(4)))
            under_way = [asyncio.create_task(nm.recall("alice", "tea")) for _ in range(4)]
            await server.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                f"WHERE datname = '{name}' AND pid <> pg_backend_pid()"
            )
            for answer in await asyncio.gather(*under_way, return_exceptions=True):
                if isinstance(answer, BaseException):
                    assert isinstance(answer, DatabaseUnavailableError | RecallError)
                    assert not isinstance(answer, asyncpg.PostgresError)
            answers = await asyncio.gather(*(nm.recall("alice", "tea") for _ in range(4)))
            assert [len(answer["merged"]) for answer in answers] == [1, 1, 1, 1]
