"""Ingest: every message once, in order, with its pending work, or an error that says why and nothing stored."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuromem.domain import validation
from neuromem.domain.text import indexed_text, tokenizer
from neuromem.errors import InputError
from tests.conftest import opened
from tests.support.processes import Child, Report

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database

COUNTS = """
    SELECT (SELECT count(*) FROM {s}.messages) AS messages, (SELECT count(*) FROM {s}.entries) AS entries,
           (SELECT count(*) FROM {s}.jobs WHERE kind = 'embed') AS jobs,
           (SELECT sum(entries) FROM {s}.corpora) AS counted
"""


async def counts(database: Database, user: str = "alice") -> tuple[int, int, int, int]:
    """Return the user's messages, entries, jobs and the number of entries that BM25 counts with."""
    async with database.user(user) as transaction:
        row = await transaction.first(COUNTS)
    assert row is not None
    return row.messages, row.entries, row.jobs, row.counted or 0


def batch(*contents: str, **more: Any) -> list[Any]:
    return [{"role": "user", "content": content, **more} for content in contents]


async def test_what_is_stored_is_what_was_said(nm: NeuroMemory, database: Database) -> None:
    said = datetime(2020, 2, 29, 23, 59, tzinfo=timezone(timedelta(hours=-7)))
    metadata = {"a": [1, None, {"ü": "😀"}], "tricky": "\\u0000 is text here"}
    stored = await nm.ingest(
        "alice",
        "assistant",
        "  Grüße,\n\t世界 😀\u200b  ",
        "s",
        name="Äl",
        metadata=metadata,
        occurred_at=said,
        language="de",
        idempotency_key="k",
    )
    again = await nm.ingest("alice", "assistant", "  Grüße,\n\t世界 😀\u200b  ", idempotency_key="k")
    assert again == stored
    assert (again.content, again.name, again.metadata) == ("  Grüße,\n\t世界 😀\u200b  ", "Äl", metadata)
    assert (again.role, again.session_id, again.position, again.language) == ("assistant", "s", 0, "de")
    assert again.occurred_at == said
    assert again.created_at.tzinfo is not None
    assert await counts(database) == (1, 1, 1, 1)


async def test_without_a_session_each_message_opens_one(nm: NeuroMemory) -> None:
    first, second = await nm.ingest("alice", "user", "Hello"), await nm.ingest("alice", "user", "Hello")
    assert first.session_id != second.session_id
    assert first.occurred_at == first.created_at < second.created_at


async def test_fifty_at_once_in_one_session_have_positions_without_gaps(
    nm: NeuroMemory, database: Database
) -> None:
    messages = await asyncio.gather(*(nm.ingest("alice", "user", f"message {i}", "s") for i in range(50)))
    assert sorted(message.position for message in messages) == list(range(50))
    in_order = sorted(messages, key=lambda message: message.position)
    assert [m.created_at for m in in_order] == sorted({m.created_at for m in messages})  # strictly increasing
    async with database.user("alice") as transaction:
        row = await transaction.first("SELECT message_count, next_position FROM {s}.sessions")
    assert row is not None
    assert tuple(row) == (50, 50)


async def test_the_clock_of_a_user_never_goes_back(nm: NeuroMemory, database: Database) -> None:
    """Not even when that of the machine does."""
    first = await nm.ingest("alice", "user", "Hello")
    async with database.user("alice") as transaction:
        await transaction.run("UPDATE {s}.users SET last_tx = last_tx + interval '1 hour'")
    second = await nm.ingest("alice", "user", "Hello")
    third = await nm.add_memory("alice", "Hello")
    assert second.created_at == first.created_at + timedelta(hours=1, microseconds=1)
    assert third.created_at > second.created_at


# Idempotency


async def test_a_key_stores_once_whoever_asks_at_the_same_time(nm: NeuroMemory, database: Database) -> None:
    stored = await asyncio.gather(
        *(nm.ingest("alice", "user", "Hello", idempotency_key=f"key {i % 5}") for i in range(40))
    )
    assert len({message.id for message in stored}) == 5
    assert (await counts(database))[:2] == (5, 5)


async def ingest_keys(report: Report, url: str) -> None:
    async with opened(url, worker=False) as nm:
        stored = await asyncio.gather(
            *(nm.ingest("alice", "user", f"message {i}", "s", idempotency_key=f"key {i}") for i in range(30))
        )
        report([message.id for message in stored])


async def test_two_processes_with_the_same_keys_store_once(database_url: str, database: Database) -> None:
    first, second = Child(ingest_keys, database_url), Child(ingest_keys, database_url)
    assert first.next() == second.next()
    assert await counts(database) == (30, 30, 30, 30)


async def test_a_key_belongs_to_one_content(nm: NeuroMemory, database: Database) -> None:
    stored = await nm.ingest("alice", "user", "Hello", idempotency_key="k")
    with pytest.raises(InputError, match=r"'k' of user 'alice' .* other content; nothing was stored"):
        await nm.conversations.add_messages_batch(
            "alice", [*batch("New"), *batch("Goodbye", idempotency_key="k")]
        )
    with pytest.raises(InputError, match="'twice'"):
        await nm.conversations.add_messages_batch(
            "alice", [*batch("One", idempotency_key="twice"), *batch("Two", idempotency_key="twice")]
        )
    assert (await counts(database))[0] == 1
    assert (await nm.ingest("bob", "user", "Goodbye", idempotency_key="k")).id != stored.id


async def test_a_batch_that_is_sent_again_longer_continues_its_session(nm: NeuroMemory) -> None:
    keyed = [batch(f"message {i}", idempotency_key=f"k{i}")[0] for i in range(5)]
    session, first = await nm.conversations.add_messages_batch("alice", keyed[:3])
    again, second = await nm.conversations.add_messages_batch("alice", [*keyed, *keyed])
    assert again == session
    assert second[:3] == first
    assert second[:5] == second[5:]
    third = await nm.conversations.add_messages_batch("alice", batch("no key", "no key"), session)
    assert third[0] == session
    assert len(set(third[1])) == 2


# Bad input

BAD: list[tuple[dict[str, Any], str]] = [
    ({"user_id": ""}, "user_id must be a non-empty string"),
    ({"user_id": "  "}, "user_id must be a non-empty string"),
    ({"user_id": None}, "user_id must be a non-empty string"),
    ({"user_id": "a\0b"}, "user_id contains a NUL"),
    ({"user_id": "x" * 513}, "user_id has 513 characters"),
    ({"user_id": "密" * 400}, "user_id has 1,200 bytes"),
    ({"session_id": ""}, "session_id must be"),
    ({"session_id": 7}, "session_id must be"),
    ({"content": ""}, "content of user 'alice' is empty"),
    ({"content": " \n"}, "content of user 'alice' is empty"),
    ({"content": None}, "must be a string"),
    ({"content": b"bytes"}, "must be a string"),
    ({"content": "a\0b"}, "NUL"),
    ({"content": "\ud800"}, "surrogate"),
    ({"content": "x" * 100_001}, r"100,001 characters; at most 100,000"),
    ({"role": "robot"}, "'robot' is not known; use one of user, assistant, system, tool"),
    ({"role": None}, "None is not known"),
    ({"role": []}, "not known"),
    ({"name": ""}, "name must be"),
    ({"name": "\0"}, "name contains a NUL"),
    ({"metadata": {1: 2}}, "string keys"),
    ({"metadata": ["a"]}, "must be a dict"),
    ({"metadata": {"a": math.nan}}, "JSON"),
    ({"metadata": {"a": math.inf}}, "JSON"),
    ({"metadata": {"a": object()}}, "JSON"),
    ({"metadata": {"a": {"b": "\0"}}}, "NUL"),
    ({"metadata": {"a\0": 1}}, "NUL"),
    ({"metadata": {"a": "\\\0"}}, "NUL"),
    ({"metadata": {"a": "\udfff"}}, "surrogate"),
    ({"metadata": {"a": 10**5000}}, "JSON"),
    ({"occurred_at": datetime(2024, 1, 1)}, "naive datetime 2024-01-01"),  # noqa: DTZ001
    ({"occurred_at": "2024-01-01"}, "must be a datetime, not str"),
    ({"occurred_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))}, "outside of the calendar"),
    ({"occurred_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))}, "outside of the calendar"),
    ({"auto_extract": "no"}, "auto_extract must be"),
    ({"idempotency_key": ""}, "idempotency_key must be"),
    ({"language": "\0"}, "language must be a tag"),
]


async def test_bad_input_is_refused_before_anything_is_stored(nm: NeuroMemory, database: Database) -> None:
    for bad, says in BAD:
        arguments = {"user_id": "alice", "role": "user", "content": "Hello", **bad}
        with pytest.raises(InputError, match=says):
            await nm.ingest(**arguments)
    assert await counts(database) == (0, 0, 0, 0)
    async with database.worker() as transaction:
        assert await transaction.value("SELECT count(*) FROM {s}.users") == 0


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "no messages"),
        ("hello", "list of dicts"),
        ({"role": "user", "content": "hello"}, "list of dicts"),
        (["hello"], "Message 0 .* must be a dict, not str"),
        ([None], "Message 0 .* must be a dict"),
        ([{"role": "user"}], r"Message 0 .* lacks \['content'\]"),
        ([{"role": "user", "content": "a", "text": "b", 7: 8}], "unknown keys 'text', 7"),
    ],
)
async def test_a_batch_of_something_else_is_refused(nm: NeuroMemory, messages: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        await nm.conversations.add_messages_batch("alice", messages)


async def test_a_batch_is_stored_whole_or_not_at_all(nm: NeuroMemory, database: Database) -> None:
    good = batch(*(f"message {i}" for i in range(150)))
    with pytest.raises(InputError, match="NUL"):
        await nm.conversations.add_messages_batch("alice", [*good, *batch("a\0b")])
    assert await counts(database) == (0, 0, 0, 0)


async def test_a_batch_whose_last_statement_fails_leaves_nothing(nm: NeuroMemory, database: Database) -> None:
    """The message and its pending work are one transaction."""
    async with database.user("alice") as transaction:
        await transaction.run("ALTER TABLE {s}.jobs ADD CONSTRAINT full_up CHECK (entry < 120)")
    with pytest.raises(Exception, match="full_up"):
        await nm.conversations.add_messages_batch("alice", batch(*(f"message {i}" for i in range(150))))
    assert await counts(database) == (0, 0, 0, 0)
    await nm.ingest("alice", "user", "There is room for this one")
    assert (await counts(database))[:2] == (1, 1)


# Ids of any kind fit into every index


@pytest.mark.parametrize("letter", ["x", "é", "密", "😀"])
async def test_the_longest_ids_can_be_stored(nm: NeuroMemory, letter: str) -> None:
    most = min(validation.MAX_ID, validation.MAX_ID_BYTES // len(letter.encode()))

    def longest(seed: int) -> str:  # hard to compress, as an index entry would be
        return "".join(chr(ord(letter) + (i * i * 31 + seed * i * 7) % 24) for i in range(most))

    user, session, key, name = (longest(seed) for seed in range(4))
    message = await nm.ingest(
        user, "user", "tea " + "".join(longest(5)), session, idempotency_key=key, name=name
    )
    await nm.add_memory(user, "likes tea")
    await nm.drain(user)
    assert {item["id"] for item in (await nm.recall(user, "tea"))["merged"]} >= {message.id}


ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=80)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    user=ANY.filter(str.strip),
    content=ANY.filter(str.strip),
    name=ANY.filter(str.strip) | st.none(),
    metadata=st.dictionaries(
        ANY, st.recursive(st.none() | st.booleans() | ANY, lambda x: st.lists(x, max_size=3)), max_size=3
    ),
    said=st.datetimes(timezones=st.just(UTC)),
)
async def test_any_text_comes_back_unchanged(
    nm: NeuroMemory, user: str, content: str, name: str | None, metadata: dict[str, Any], said: datetime
) -> None:
    key = str((content, said))[:100]
    first = await nm.ingest(user, "user", content, "s", name=name, metadata=metadata, occurred_at=said)
    assert (first.content, first.name, first.metadata) == (content, name, metadata)
    keyed = await nm.ingest(
        user, "user", content, name=name, metadata=metadata, occurred_at=said, idempotency_key=key
    )
    again = await nm.ingest(user, "user", content, idempotency_key=key)
    assert again == keyed


# Not in the way of others


async def test_a_long_batch_leaves_the_event_loop_to_others(
    nm: NeuroMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts what is tokenized between two turns of another task, of many messages and of long ones."""
    longest = since = 0
    tokenize = tokenizer.tokenize

    def counted(text: str, language: str = "en") -> list[str]:
        nonlocal since, longest
        since += len(text)
        longest = max(longest, since)
        return tokenize(text, language)

    async def other() -> None:
        nonlocal since
        while True:
            since = 0
            await asyncio.sleep(0)

    monkeypatch.setattr(indexed_text, "tokenize", counted)
    task = asyncio.create_task(other())
    many = batch(*(f"message {i} " + "word " * 20 for i in range(2_000)))
    await nm.conversations.add_messages_batch("alice", many)
    await nm.conversations.add_messages_batch("alice", batch(*("word " * 10_000 for _ in range(20))))
    task.cancel()
    assert longest <= 120_000  # characters: some 20 milliseconds
