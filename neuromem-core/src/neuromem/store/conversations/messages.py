"""Stores messages at the end of a session: everything else is derived from them."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.messages import Message
from neuromem.errors import InputError
from neuromem.store.conversations.extraction_queue import enqueue_extraction
from neuromem.store.database.sql import fill
from neuromem.store.database.users import begin_write
from neuromem.store.memories.digest_queue import count_user_messages
from neuromem.store.search_index.entries import MESSAGE_KIND, IndexEntry, add_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.messages import NewMessage
    from neuromem.store.conversations.extraction_queue import ExtractionRequest
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row
    from neuromem.store.database.users import WriteStamp

TOKENIZED_MESSAGES, TOKENIZED_CHARACTERS = 100, 50_000
"""The most messages, and about the most characters, that are tokenized without giving way to other tasks."""

# The session grows by the messages, which get the positions at its end.
INSERT_MESSAGES = """
    WITH session AS (
        INSERT INTO {s}.sessions AS s (user_id, session_id, created_at, updated_at, message_count, next_position)
        VALUES (:user, :session, :now, :now, CAST(:count AS int), CAST(:count AS int))
        ON CONFLICT (user_id, session_id) DO UPDATE SET
            updated_at = excluded.updated_at, closed_at = NULL,
            message_count = s.message_count + excluded.message_count,
            next_position = s.next_position + excluded.next_position
        RETURNING next_position - CAST(:count AS int) AS first
    ), counted_speakers AS (
        INSERT INTO {s}.speakers AS s (user_id, name, messages)
        SELECT :user, n.name, n.messages
        FROM unnest(CAST(:speaker AS text[]), CAST(:messages AS int[])) AS n(name, messages)
        ON CONFLICT (user_id, name) DO UPDATE SET messages = s.messages + excluded.messages
    ), stored AS (
        INSERT INTO {s}.messages (user_id, message_id, session_id, position, entry, role, name, content, metadata,
                                  language, created_at, occurred_at, utc_offset, idempotency_key)
        SELECT :user, n.message_id, :session, session.first + CAST(n.place AS int) - 1, n.entry, n.role, n.name,
               n.content, n.metadata::jsonb, n.language, :now, n.occurred_at, n.utc_offset, n.key
        FROM session CROSS JOIN
             unnest(CAST(:message_id AS uuid[]), CAST(:entry AS int[]), CAST(:role AS text[]), CAST(:name AS text[]),
                    CAST(:content AS text[]), CAST(:metadata AS text[]), CAST(:language AS text[]),
                    CAST(:occurred_at AS timestamptz[]), CAST(:utc_offset AS int[]), CAST(:key AS text[]))
             WITH ORDINALITY
             AS n(message_id, entry, role, name, content, metadata, language, occurred_at, utc_offset, key, place)
    )
    SELECT first FROM session
"""

MESSAGE_COLUMNS = """
    message_id, user_id, session_id, position, role, content, created_at, occurred_at, name, metadata,
    language, idempotency_key
"""

MESSAGES_BY_IDEMPOTENCY_KEY = fill(
    """
    SELECT {columns} FROM {s}.messages
    WHERE user_id = :user AND idempotency_key = ANY(CAST(:keys AS text[]))
    """,
    columns=MESSAGE_COLUMNS,
)

MESSAGE_BY_ENTRY = """
    SELECT entry, content FROM {s}.messages WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[]))
"""


async def append_messages(
    database: Database,
    user_id: str,
    session_id: str | None,
    messages: Sequence[NewMessage],
    *,
    tokens: Callable[[NewMessage, str | None], Sequence[str]],
    extraction: ExtractionRequest | None = None,
    digest_every: int = 0,
) -> tuple[str, list[Message]]:
    """Store messages at the end of a session, index their words and enqueue their work, in one transaction.

    Args:
        database: The database to write to.
        user_id: Whose messages.
        session_id: The session; None begins a new one, or takes that of a message with a known idempotency key.
        messages: The messages in order. Those with an idempotency key that is stored already are not stored again.
        tokens: Returns the words by which a message is found, given the user's language.
        extraction: Which extractors get the messages, and when; None for no extraction.
        digest_every: Request a digest after every so many messages of the user's; 0 for none.

    Returns:
        The id of the session, and the messages in order, in the place of known ones as they are stored.

    Raises:
        InputError: An idempotency key belongs to a message with other content.
    """
    async with database.user(user_id) as transaction:
        stamp = await begin_write(transaction, user_id, len(messages))
        known = await _stored_by_key(transaction, user_id, messages)
        fresh = _not_stored(messages, known)
        if session_id is None:
            session_id = next(iter(known.values())).session_id if known else str(uuid4())
        stored: list[Message] = []
        if fresh:
            stored = await _insert_messages(transaction, user_id, session_id, fresh, stamp)
            await _index_messages(transaction, user_id, fresh, stored, stamp, tokens)
            to_extract = [stamp.first_entry + i for i, new in enumerate(fresh) if new.extract]
            if extraction is not None and to_extract:
                await enqueue_extraction(transaction, user_id, session_id, to_extract, extraction)
            by_user = sum(new.role == "user" for new in fresh)
            if digest_every and by_user:
                await count_user_messages(transaction, user_id, by_user, digest_every)
    return session_id, _in_order(messages, stored, known)


async def _index_messages(
    transaction: Transaction,
    user_id: str,
    fresh: Sequence[NewMessage],
    stored: Sequence[Message],
    stamp: WriteStamp,
    tokens: Callable[[NewMessage, str | None], Sequence[str]],
) -> None:
    for portion in _portions(fresh):
        entries = [
            IndexEntry(
                entry=stamp.first_entry + i,
                item=stored[i].id,
                memory_type="message",
                tokens=tokens(fresh[i], fresh[i].language or stamp.language),
                session_id=stored[i].session_id,
                position=stored[i].position,
                speaker=stored[i].name,
                occurred_at=stored[i].occurred_at,
            )
            for i in portion
        ]
        await add_entries(transaction, user_id, MESSAGE_KIND, entries, stamp.now)


def _portions(messages: Sequence[NewMessage]) -> Iterator[range]:
    """Yield ranges of messages that are tokenized at once; between them other tasks use the event loop."""
    start = size = 0
    for i, message in enumerate(messages, 1):
        size += len(message.content)
        if i - start == TOKENIZED_MESSAGES or size >= TOKENIZED_CHARACTERS or i == len(messages):
            yield range(start, i)
            start, size = i, 0


async def _insert_messages(
    transaction: Transaction, user_id: str, session_id: str, fresh: Sequence[NewMessage], stamp: WriteStamp
) -> list[Message]:
    """Store messages at the end of a session and return them."""
    ids = [str(uuid4()) for _ in fresh]
    speakers = Counter(new.name for new in fresh if new.name is not None)
    moments = [new.occurred_at or stamp.now for new in fresh]
    first = await transaction.value(
        INSERT_MESSAGES,
        {
            "user": user_id,
            "session": session_id,
            "now": stamp.now,
            "count": len(fresh),
            "message_id": ids,
            "entry": [stamp.first_entry + i for i in range(len(fresh))],
            "role": [new.role for new in fresh],
            "name": [new.name for new in fresh],
            "content": [new.content for new in fresh],
            "metadata": [json.dumps(dict(new.metadata or {})) for new in fresh],
            "language": [new.language for new in fresh],
            "occurred_at": moments,
            "utc_offset": [_offset(new.occurred_at) for new in fresh],
            "key": [new.idempotency_key for new in fresh],
            "speaker": list(speakers),
            "messages": list(speakers.values()),
        },
    )
    return [
        Message(
            id=ids[i],
            user_id=user_id,
            session_id=session_id,
            position=first + i,
            role=new.role,
            content=new.content,
            created_at=stamp.now,
            occurred_at=moments[i],
            name=new.name,
            metadata=dict(new.metadata or {}),
            language=new.language,
            idempotency_key=new.idempotency_key,
        )
        for i, new in enumerate(fresh)
    ]


async def _stored_by_key(
    transaction: Transaction, user_id: str, messages: Sequence[NewMessage]
) -> dict[str, Message]:
    """Return the stored messages that have an idempotency key of the new ones, by key."""
    keys = [message.idempotency_key for message in messages if message.idempotency_key is not None]
    if not keys:
        return {}
    rows = await transaction.all(MESSAGES_BY_IDEMPOTENCY_KEY, {"user": user_id, "keys": keys})
    known = {row.idempotency_key: message_from_row(row) for row in rows}
    contents = {key: message.content for key, message in known.items()}
    for new in messages:
        key = new.idempotency_key
        if key is not None and contents.setdefault(key, new.content) != new.content:
            raise InputError(
                f"The idempotency key {key!r} of user {user_id!r} belongs to another message with other "
                "content; nothing was stored. Use a new key for a new message."
            )
    return known


def _offset(moment: datetime | None) -> int | None:
    """Return the minutes east of UTC in which a time was given; None where none was."""
    offset = moment.utcoffset() if moment is not None else None
    return int(offset.total_seconds() // 60) if offset is not None else None


def _not_stored(messages: Sequence[NewMessage], known: Mapping[str, Message]) -> list[NewMessage]:
    """Return the messages to store: without known idempotency keys, each key once."""
    seen = set(known)
    fresh = []
    for new in messages:
        if new.idempotency_key is None:
            fresh.append(new)
        elif new.idempotency_key not in seen:
            seen.add(new.idempotency_key)
            fresh.append(new)
    return fresh


def _in_order(
    messages: Sequence[NewMessage], stored: Sequence[Message], known: Mapping[str, Message]
) -> list[Message]:
    """Return for each given message the stored one."""
    by_key = {**known, **{m.idempotency_key: m for m in stored if m.idempotency_key is not None}}
    keyless = iter([message for message in stored if message.idempotency_key is None])
    return [next(keyless) if new.idempotency_key is None else by_key[new.idempotency_key] for new in messages]


def message_from_row(row: Row) -> Message:
    """Return the message in a row of `MESSAGE_COLUMNS`."""
    return Message(
        id=str(row["message_id"]),
        user_id=row["user_id"],
        session_id=row["session_id"],
        position=row["position"],
        role=row["role"],
        content=row["content"],
        created_at=row["created_at"],
        occurred_at=row["occurred_at"],
        name=row["name"],
        metadata=row["metadata"],
        language=row["language"],
        idempotency_key=row["idempotency_key"],
    )
