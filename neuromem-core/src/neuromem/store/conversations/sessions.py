"""Reads sessions and their messages, and changes or closes a session; `messages.py` stores messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.messages import Session
from neuromem.store.conversations.messages import MESSAGE_COLUMNS, message_from_row
from neuromem.store.database.sql import Fragment, all_of, fill
from neuromem.store.database.users import begin_write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from neuromem.domain.messages import Message
    from neuromem.store.database.database import Database
    from neuromem.store.database.rows import Row

SELECT_MESSAGES = """
    SELECT {columns} FROM {s}.messages
    WHERE user_id = :user AND session_id = :session AND {bounds}
    ORDER BY position {order} LIMIT :limit OFFSET :offset
"""

POSITION_OF_MESSAGE = """
    SELECT position FROM {s}.messages WHERE user_id = :user AND session_id = :session AND message_id = :message
"""

SESSION_COLUMNS = "session_id, user_id, title, metadata, created_at, updated_at, closed_at, message_count"

SELECT_SESSIONS = fill(
    """
    SELECT {columns} FROM {s}.sessions WHERE user_id = :user
    ORDER BY updated_at DESC, session_id LIMIT :limit OFFSET :offset
    """,
    columns=SESSION_COLUMNS,
)

SELECT_SESSION = fill(
    "SELECT {columns} FROM {s}.sessions WHERE user_id = :user AND session_id = :session",
    columns=SESSION_COLUMNS,
)

UPDATE_SESSION = fill(
    """
    UPDATE {s}.sessions SET title = coalesce(CAST(:title AS text), title),
        metadata = coalesce(CAST(:metadata AS jsonb), metadata)
    WHERE user_id = :user AND session_id = :session RETURNING {columns}
    """,
    columns=SESSION_COLUMNS,
)

CLOSE_SESSION = fill(
    """
    UPDATE {s}.sessions SET closed_at = coalesce(closed_at, :now)
    WHERE user_id = :user AND session_id = :session RETURNING {columns}
    """,
    columns=SESSION_COLUMNS,
)


@dataclass(frozen=True, slots=True)
class MessageBound:
    """Where messages of a session begin or end; one of the two is given.

    Attributes:
        message: The id of a message of the session.
        moment: When messages were said.
    """

    message: str | None = None
    moment: datetime | None = None


async def session_messages(
    database: Database,
    user_id: str,
    session_id: str,
    *,
    limit: int,
    offset: int,
    before: MessageBound | None,
    after: MessageBound | None,
) -> list[Message] | None:
    """Return messages of a session in the order of the conversation.

    Args:
        database: The database to read from.
        user_id: Whose session.
        session_id: The session.
        limit: The most messages to return.
        offset: How many messages to skip.
        before: Only messages before it; without ``after`` the last of them are returned.
        after: Only messages after it.

    Returns:
        The messages; None when a bound names no message of the session.
    """
    values: dict[str, Any] = {"user": user_id, "session": session_id, "limit": limit, "offset": offset}
    bounds = []
    backwards = before is not None and after is None
    async with database.reader(user_id) as transaction:
        for name, sign, bound in (("before", "<", before), ("after", ">", after)):
            if bound is None:
                continue
            column, value = "occurred_at", bound.moment
            if bound.message is not None:
                column = "position"
                value = await transaction.value(
                    POSITION_OF_MESSAGE, {"user": user_id, "session": session_id, "message": bound.message}
                )
                if value is None:
                    return None
            bounds.append(Fragment(f"{column} {sign} :{name}", {name: value}))
        sql = fill(
            SELECT_MESSAGES,
            columns=MESSAGE_COLUMNS,
            bounds=all_of(bounds),
            order="DESC" if backwards else "ASC",
        )
        rows = await transaction.all(sql, values)
    found = [message_from_row(row) for row in rows]
    return found[::-1] if backwards else found


async def fetch_sessions(database: Database, user_id: str, *, limit: int, offset: int) -> list[Session]:
    """Return a page of sessions, those with the latest messages first."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(SELECT_SESSIONS, {"user": user_id, "limit": limit, "offset": offset})
    return [session_from_row(row) for row in rows]


async def fetch_session(database: Database, user_id: str, session_id: str) -> Session | None:
    """Return a session, None when there is none."""
    async with database.reader(user_id) as transaction:
        row = await transaction.first(SELECT_SESSION, {"user": user_id, "session": session_id})
    return None if row is None else session_from_row(row)


async def update_session(
    database: Database, user_id: str, session_id: str, title: str | None, metadata: Mapping[str, Any] | None
) -> Session | None:
    """Change title and metadata of a session where they are given.

    Returns:
        The session as it is stored, None when there is none.
    """
    async with database.user(user_id) as transaction:
        await begin_write(transaction, user_id)
        row = await transaction.first(
            UPDATE_SESSION,
            {
                "user": user_id,
                "session": session_id,
                "title": title,
                "metadata": None if metadata is None else json.dumps(dict(metadata)),
            },
        )
    return None if row is None else session_from_row(row)


async def close_session(database: Database, user_id: str, session_id: str) -> Session | None:
    """Mark a session as closed and return it, None when there is none; a closed one keeps its time."""
    async with database.user(user_id) as transaction:
        now = (await begin_write(transaction, user_id)).now
        row = await transaction.first(CLOSE_SESSION, {"user": user_id, "session": session_id, "now": now})
    return None if row is None else session_from_row(row)


def session_from_row(row: Row) -> Session:
    """Return the session in a row of `SESSION_COLUMNS`."""
    return Session(
        id=row.session_id,
        user_id=row.user_id,
        title=row.title,
        metadata=row.metadata,
        created_at=row.created_at,
        updated_at=row.updated_at,
        closed_at=row.closed_at,
        message_count=row.message_count,
    )
