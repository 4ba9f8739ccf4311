"""Reads and small changes of sessions and their messages; storing messages is in ``store.messages``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.messages import Session
from neuromem.store.conversations.messages import COLUMNS, message_from_row
from neuromem.store.database.users import begin_write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from neuromem.domain.messages import Message
    from neuromem.store.database.database import Database
    from neuromem.store.database.rows import Row

MESSAGES = f"""
    SELECT {COLUMNS} FROM {{s}}.messages
    WHERE user_id = :user AND session_id = :session AND {{bounds}}
    ORDER BY position {{order}} LIMIT :limit OFFSET :offset
"""

POSITION = """
    SELECT position FROM {s}.messages WHERE user_id = :user AND session_id = :session AND message_id = :message
"""

SESSION = "session_id, user_id, title, metadata, created_at, updated_at, closed_at, message_count"

SESSIONS = f"""
    SELECT {SESSION} FROM {{s}}.sessions WHERE user_id = :user
    ORDER BY updated_at DESC, session_id LIMIT :limit OFFSET :offset
"""

ONE = f"SELECT {SESSION} FROM {{s}}.sessions WHERE user_id = :user AND session_id = :session"

UPDATE = f"""
    UPDATE {{s}}.sessions SET title = coalesce(CAST(:title AS text), title),
        metadata = coalesce(CAST(:metadata AS jsonb), metadata)
    WHERE user_id = :user AND session_id = :session RETURNING {SESSION}
"""

CLOSE = f"""
    UPDATE {{s}}.sessions SET closed_at = coalesce(closed_at, :now)
    WHERE user_id = :user AND session_id = :session RETURNING {SESSION}
"""


@dataclass(frozen=True, slots=True)
class MessageBound:
    """A place in a session: a message, or a moment at which something was said."""

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
    """Return messages in the order of the conversation; None when a bound names no message of the session.

    With ``before`` alone they are those next to it, otherwise the first after ``after`` or of all.
    """
    params: dict[str, Any] = {"user": user_id, "session": session_id, "limit": limit, "offset": offset}
    bounds = ["true"]
    backwards = before is not None and after is None
    async with database.reader(user_id) as transaction:
        for name, sign, bound in (("before", "<", before), ("after", ">", after)):
            if bound is None:
                continue
            params[name] = bound.moment
            if bound.message is not None:
                params[name] = await transaction.value(
                    POSITION, {"user": user_id, "session": session_id, "message": bound.message}
                )
                if params[name] is None:
                    return None
            bounds.append(f"{'occurred_at' if bound.message is None else 'position'} {sign} :{name}")
        sql = MESSAGES.replace("{bounds}", " AND ".join(bounds))
        rows = await transaction.all(sql.replace("{order}", "DESC" if backwards else "ASC"), params)
    found = [message_from_row(row) for row in rows]
    return found[::-1] if backwards else found


async def fetch_sessions(database: Database, user_id: str, *, limit: int, offset: int) -> list[Session]:
    """Return sessions, the one that was last spoken in first."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(SESSIONS, {"user": user_id, "limit": limit, "offset": offset})
    return [session_from_row(row) for row in rows]


async def fetch_session(database: Database, user_id: str, session_id: str) -> Session | None:
    """Return a session."""
    async with database.reader(user_id) as transaction:
        row = await transaction.first(ONE, {"user": user_id, "session": session_id})
    return None if row is None else session_from_row(row)


async def update_session(
    database: Database, user_id: str, session_id: str, title: str | None, metadata: Mapping[str, Any] | None
) -> Session | None:
    """Change what is given; None when there is no such session."""
    async with database.user(user_id) as transaction:
        await begin_write(transaction, user_id)
        row = await transaction.first(
            UPDATE,
            {
                "user": user_id,
                "session": session_id,
                "title": title,
                "metadata": None if metadata is None else json.dumps(dict(metadata)),
            },
        )
    return None if row is None else session_from_row(row)


async def close_session(database: Database, user_id: str, session_id: str) -> Session | None:
    """Mark a session as closed; None when there is no such session."""
    async with database.user(user_id) as transaction:
        now = (await begin_write(transaction, user_id)).now
        row = await transaction.first(CLOSE, {"user": user_id, "session": session_id, "now": now})
    return None if row is None else session_from_row(row)


def session_from_row(row: Row) -> Session:
    """Return the session in a row."""
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
