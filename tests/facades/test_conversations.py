from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from neuromem.domain.memories import NewMemory
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.errors import InputError, NotFoundError
from neuromem.store.database.row_security import GLOBAL_TABLES
from neuromem.store.database.users import begin_write
from neuromem.store.graph.write import store_relations
from neuromem.store.kv.kv import KVChange, write_values
from neuromem.store.kv.profile_sources import record_profile_sources
from neuromem.store.memories.write import insert_memory
from neuromem.testing.internals import database_of
from tests.support.relations import edge

if TYPE_CHECKING:
    from neuromem.domain.messages import MessageDict
    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def said(*contents: str, begin: datetime = DAY) -> list[MessageDict]:
    return [
        {"role": "user", "content": content, "occurred_at": begin + timedelta(minutes=i)}
        for i, content in enumerate(contents)
    ]


async def test_messages_are_paged_in_the_order_of_the_conversation(nm: NeuroMemory) -> None:
    words = [f"word {i}" for i in range(10)]
    _, ids = await nm.conversations.add_messages_batch("alice", said(*words), "s")
    await nm.conversations.add_messages_batch("alice", said("elsewhere"), "other")

    async def page(**arguments: Any) -> list[str]:
        return [m.content for m in await nm.conversations.get_session_messages("alice", "s", **arguments)]

    assert await page() == words
    assert await page(limit=3) == words[:3]
    assert await page(limit=3, offset=8) == words[8:]
    assert await page(after=ids[6]) == words[7:]
    assert await page(after=ids[2], limit=2) == words[3:5]
    assert await page(before=ids[5], limit=2) == words[3:5]
    assert await page(after=ids[2], before=ids[5]) == words[3:5]
    assert await page(before=DAY + timedelta(minutes=2)) == words[:2]
    assert await page(after=DAY + timedelta(minutes=7)) == words[8:]
    assert await nm.conversations.get_session_messages("alice", "absent") == []
    with pytest.raises(NotFoundError, match="no message"):
        await page(after=str(uuid4()))
    with pytest.raises(InputError, match="time zone"):
        await page(after=datetime(2026, 1, 1))  # noqa: DTZ001  that is the point
    with pytest.raises(InputError, match="before"):
        await page(before="yesterday")


async def test_sessions_come_newest_first_with_their_counts(nm: NeuroMemory) -> None:
    for session, size in (("a", 1), ("b", 3), ("c", 2)):
        await nm.conversations.add_messages_batch("alice", said(*["hello"] * size), session)
    await nm.ingest("alice", "user", "again", "a")
    await nm.ingest("bob", "user", "hello", "a")
    found = await nm.conversations.list_sessions("alice")
    assert [(session.id, session.message_count) for session in found] == [("a", 2), ("c", 2), ("b", 3)]
    assert [s.id for s in await nm.conversations.list_sessions("alice", limit=1, offset=1)] == ["c"]
    assert await nm.conversations.get_session("alice", "a") == found[0]
    assert await nm.conversations.get_session("bob", "b") is None


async def test_fifty_ingests_at_once_are_counted_and_placed_right(nm: NeuroMemory) -> None:
    await asyncio.gather(*(nm.ingest("alice", "user", f"message {i}", "s") for i in range(50)))
    session = await nm.conversations.get_session("alice", "s")
    messages = await nm.conversations.get_session_messages("alice", "s")
    assert session is not None
    assert session.message_count == len(messages) == 50
    assert [message.position for message in messages] == list(range(50))
    assert sorted(message.created_at for message in messages) == [message.created_at for message in messages]


async def test_a_session_has_a_title_and_is_closed_until_somebody_speaks(nm: NeuroMemory) -> None:
    await nm.ingest("alice", "user", "hello", "s")
    await nm.conversations.update_session("alice", "s", title="Greetings")
    session = await nm.conversations.update_session("alice", "s", metadata={"topic": "none"})
    assert (session.title, session.metadata, session.closed_at) == ("Greetings", {"topic": "none"}, None)
    closed = await nm.conversations.close_session("alice", "s")
    assert closed.closed_at is not None
    assert (await nm.conversations.close_session("alice", "s")).closed_at == closed.closed_at
    await nm.ingest("alice", "user", "again", "s")
    spoken = await nm.conversations.get_session("alice", "s")
    assert spoken is not None
    assert spoken.closed_at is None
    for change in (nm.conversations.close_session, nm.conversations.update_session):
        with pytest.raises(NotFoundError, match="'absent'"):
            await change("alice", "absent")


async def test_search_looks_in_all_sessions_or_in_one(nm: NeuroMemory) -> None:
    await nm.conversations.add_messages_batch("alice", said("I adore green tea", "the weather is fine"), "a")
    await nm.conversations.add_messages_batch("alice", said("my cousin grows tea in Assam"), "b")
    await nm.add_memory("alice", "Drinks tea every day")
    await nm.ingest("bob", "user", "tea is mine", "a")
    everywhere = await nm.conversations.search("alice", "who likes tea?")
    assert {"I adore green tea", "my cousin grows tea in Assam"} <= {item["content"] for item in everywhere}
    assert {item["memory_type"] for item in everywhere} == {"message"}
    here = await nm.conversations.search("alice", "who likes tea?", "b")
    assert [item["content"] for item in here] == ["my cousin grows tea in Assam"]
    await nm.drain("alice")
    here = await nm.conversations.search("alice", "who likes tea?", "b")
    assert [item["content"] for item in here] == ["my cousin grows tea in Assam"]
    assert len(await nm.conversations.search("alice", "tea", limit=1)) == 1


async def learn(nm: NeuroMemory, content: str, *sources: str) -> str:
    """Store a memory as extraction would, with the messages it came from."""
    new = NewMemory(content, "fact", sources=tuple(sorted(sources)))
    stored = await insert_memory(database_of(nm), "alice", new, tokens=EntryTokenizer("en"))
    return stored.id


async def counts(database: Database, user: str) -> dict[str, int]:
    """Rows of the user in every table that has any."""
    tables = """
        SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'neuromem' AND c.relkind = 'r'
    """
    found = {}
    async with database.user(user) as transaction:
        for row in await transaction.all(tables):
            if row.relname not in GLOBAL_TABLES:
                number = await transaction.value(
                    f'SELECT count(*) FROM {{s}}."{row.relname}" WHERE user_id = :user', {"user": user}
                )
                if number:
                    found[row.relname] = int(number)
    return found


async def test_a_deleted_session_leaves_nothing_of_its_own_behind(
    nm: NeuroMemory, database: Database
) -> None:
    _, kept = await nm.conversations.add_messages_batch("alice", said("I like tea", "I like jam"), "kept")
    shared = await learn(nm, "Likes tea", kept[0])
    await nm.drain("alice")
    before = await counts(database, "alice")
    answer = await nm.recall("alice", "what does she like?")

    _, gone = await nm.conversations.add_messages_batch(
        "alice", [{"role": "user", "content": "I like tea and gin", "name": "Zoe"}], "gone"
    )
    await learn(nm, "Likes gin", gone[0])
    async with database.user("alice") as transaction:
        now = (await begin_write(transaction, "alice")).now
        await store_relations(
            transaction, "alice", [edge("alice", "likes", "gin", sources=gone)], now, {"by": "extraction"}
        )
        await write_values(transaction, "alice", KVChange("profile", {"drinks": '["gin"]'}), now)
        await record_profile_sources(transaction, "alice", {"drinks": ["gin"]}, gone)
        await transaction.run(
            "INSERT INTO {s}.memory_sources VALUES (:user, :memory, 1, :message)",
            {"user": "alice", "memory": shared, "message": gone[0]},
        )
    await nm.drain("alice")
    deleted = await nm.conversations.delete_session("alice", "gone")
    assert deleted == {"sessions": 1, "messages": 1, "memories": 1, "edges": 1, "nodes": 2, "profile": 1}
    assert await counts(database, "alice") == before
    again = await nm.recall("alice", "what does she like?")
    for result in (answer, again):
        for item in result["merged"]:
            item["score"] = item["relevance"] = 0.0
    assert again == answer
    assert (await nm.conversations.delete_session("alice", "gone"))["sessions"] == 0
    assert (await nm.conversations.delete_session("bob", "kept"))["sessions"] == 0


async def test_word_statistics_are_right_after_a_session_was_deleted(nm: NeuroMemory) -> None:
    """Twins, one of which once heard more, answer with the same numbers."""
    for user in ("alice", "twin"):
        await nm.conversations.add_messages_batch(user, said("green tea", "black tea", "jam"), "kept")
    await nm.conversations.add_messages_batch("alice", said("tea tea tea", "nothing but tea"), "gone")
    await nm.drain()
    await nm.conversations.delete_session("alice", "gone")
    answers = [
        [
            (i["content"], round(i["score"], 6), round(i["relevance"], 6))
            for i in (await nm.recall(user, "green tea"))["merged"]
        ]
        for user in ("alice", "twin")
    ]
    assert answers[0] == answers[1]


async def test_what_a_deleted_session_had_ended_holds_again(nm: NeuroMemory, database: Database) -> None:
    _, first = await nm.conversations.add_messages_batch("alice", said("I live in Paris"), "first")
    _, second = await nm.conversations.add_messages_batch("alice", said("I moved to Rome"), "second")
    for place, sources in (("Paris", first), ("Rome", second)):
        async with database.user("alice") as transaction:
            now = (await begin_write(transaction, "alice")).now
            await store_relations(
                transaction,
                "alice",
                [edge("alice", "lives_in", place, sources=sources)],
                now,
                {"by": "extraction"},
            )
            await write_values(transaction, "alice", KVChange("profile", {"home": f'"{place}"'}), now)
            await record_profile_sources(transaction, "alice", {"home": place}, sources)
    await nm.conversations.delete_session("alice", "second")
    assert [str(edge) for edge in await nm.graph.list_edges("alice", include_ended=True)] == [
        "alice -> LIVES_IN -> Paris"
    ]
    assert (await nm.graph.list_edges("alice"))[0].valid_until is None
    assert await nm.kv.get("alice", "profile", "home") == "Paris"


@pytest.mark.parametrize(
    ("erased", "left"), [("one", ["tea", "gin", "jam"]), ("two", ["Coffee", "tea", "jam"])]
)
async def test_a_profile_loses_what_only_the_deleted_session_said(
    nm: NeuroMemory, database: Database, erased: str, left: list[str]
) -> None:
    """Session one says coffee and tea, session two tea again and gin; jam the user set by hand."""
    await nm.kv.set("alice", "profile", "interests", ["jam"])
    drinks = {"one": ["Coffee", "tea", "jam"], "two": ["Coffee", "tea", "gin", "jam"]}
    for session, words in (("one", ["Coffee", "tea"]), ("two", ["TEA", "gin"])):
        _, ids = await nm.conversations.add_messages_batch("alice", said(f"I like {words}"), session)
        async with database.user("alice") as transaction:
            now = (await begin_write(transaction, "alice")).now
            pairs = {"interests": json.dumps(drinks[session])}
            change = KVChange("profile", pairs, origin={"by": "extractor"})
            await write_values(transaction, "alice", change, now)
            await record_profile_sources(transaction, "alice", {"interests": words}, ids)
    assert (await nm.conversations.delete_session("alice", erased))["profile"] == 1
    assert await nm.kv.get("alice", "profile", "interests") == left
