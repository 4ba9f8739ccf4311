"""``nm.conversations``: messages and sessions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.errors import InputError, NotFoundError
from neuromem.recall.response import result
from neuromem.store.conversations.erase import erase_session
from neuromem.store.conversations.sessions import (
    MessageBound,
    close_session,
    fetch_session,
    fetch_sessions,
    session_messages,
    update_session,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.messages import Message, MessageDict, Session
    from neuromem.domain.recall_result import RecallItem
    from neuromem.ingest.service import IngestService
    from neuromem.recall.service import RecallService
    from neuromem.store.database.database import Database

MAX_LIMIT = 10_000


class Conversations:
    """What was said, session by session.

    A session's id is unique for its user only. Reads of a session that is not there find nothing; changes raise
    `NotFoundError`.
    """

    def __init__(self, service: IngestService, database: Database, recall: RecallService) -> None:
        self._service = service
        self._database = database
        self._recall = recall

    async def ingest(
        self,
        user_id: str,
        role: str,
        content: str,
        session_id: str | None = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        occurred_at: datetime | None = None,
        auto_extract: bool | None = None,
        language: str | None = None,
        idempotency_key: str | None = None,
    ) -> Message:
        """Store a message and return it; its words are found at once, its meaning when it is embedded.

        ``session_id=None`` opens a new session. Raises `InputError` before anything is stored.
        """
        message = {
            "role": role,
            "content": content,
            "name": name,
            "metadata": metadata,
            "occurred_at": occurred_at,
            "auto_extract": auto_extract,
            "language": language,
            "idempotency_key": idempotency_key,
        }
        _, (stored,) = await self._service.messages(user_id, session_id, [message])
        return stored

    async def add_messages_batch(
        self, user_id: str, messages: Sequence[MessageDict], session_id: str | None = None
    ) -> tuple[str, list[str]]:
        """Store many messages of one session, all or none; returns the session's id and the messages' ids."""
        session, stored = await self._service.messages(user_id, session_id, messages)
        return session, [message.id for message in stored]

    async def get_session_messages(
        self,
        user_id: str,
        session_id: str,
        limit: int = 100,
        offset: int = 0,
        before: str | datetime | None = None,
        after: str | datetime | None = None,
    ) -> list[Message]:
        """Return messages of a session in the order of the conversation.

        ``before`` and ``after`` are messages' ids, or moments at which things were said; both leave out what they
        name. ``before`` alone gives those next to it, as for scrolling back. Raises `NotFoundError` when an id is
        not of this session.
        """
        found = await session_messages(
            self._database,
            validation.user_id(user_id),
            validation.identifier("session_id", session_id),
            limit=_limit(limit),
            offset=_offset(offset),
            before=_bound("before", before),
            after=_bound("after", after),
        )
        if found is None:
            raise NotFoundError(
                f"Session {session_id!r} of user {user_id!r} has no message {before if after is None else after!r}."
            )
        return found

    async def list_sessions(self, user_id: str, limit: int = 50, offset: int = 0) -> list[Session]:
        """Return sessions with their counts, the one that was last spoken in first."""
        return await fetch_sessions(
            self._database, validation.user_id(user_id), limit=_limit(limit), offset=_offset(offset)
        )

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        """Return a session."""
        return await fetch_session(
            self._database, validation.user_id(user_id), validation.identifier("session_id", session_id)
        )

    async def update_session(
        self,
        user_id: str,
        session_id: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Change a session's title or replace its metadata; None leaves as it is."""
        return _found(
            await update_session(
                self._database,
                validation.user_id(user_id),
                validation.identifier("session_id", session_id),
                validation.optional_text("title", title),
                None if metadata is None else validation.metadata(metadata),
            ),
            user_id,
            session_id,
        )

    async def close_session(self, user_id: str, session_id: str) -> Session:
        """Say that a conversation is over; what waits for more of it is worked on now. Speaking reopens it."""
        closed = await close_session(
            self._database, validation.user_id(user_id), validation.identifier("session_id", session_id)
        )
        await self._service.close_session(user_id, session_id)
        return _found(closed, user_id, session_id)

    async def get_unextracted_messages(
        self, user_id: str, session_id: str | None = None, limit: int = 100
    ) -> list[Message]:
        """Return the messages whose extraction is not over, oldest first.

        The ``extraction`` of each says its state: waiting, failed with the error, the attempts and the next try, dead,
        or none when nobody asked for it.
        """
        return await self._service.unextracted(
            validation.user_id(user_id), validation.optional_text("session_id", session_id), _limit(limit)
        )

    async def search(
        self, user_id: str, query: str, session_id: str | None = None, limit: int = 20
    ) -> list[RecallItem]:
        """Return the messages that answer a question best, of all sessions or of one; see `NeuroMemory.recall`."""
        question = self._recall.question(
            user_id, query, limit, memory_type="message", include_conversations=True
        )
        session = validation.optional_text("session_id", session_id)
        question = replace(question, filters=replace(question.filters, session_id=session))
        outcome, about = await self._recall.run(question)
        return result(outcome, about, limit=limit, explain=False)["merged"]

    async def delete_session(self, user_id: str, session_id: str) -> dict[str, int]:
        """Erase a session and what was derived from it alone, from the past too; returns counts by kind.

        What other sessions say as well is kept, and what the session had ended, overwritten or taken back holds again:
        memories, relations, the profile. Counts are zero when there is no such session.
        """
        return await erase_session(
            self._database, validation.user_id(user_id), validation.identifier("session_id", session_id)
        )


def _found(session: Session | None, user_id: str, session_id: str) -> Session:
    if session is None:
        raise NotFoundError(
            f"User {user_id!r} has no session {session_id!r}; list_sessions() shows which there are."
        )
    return session


def _bound(name: str, value: str | datetime | None) -> MessageBound | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return MessageBound(moment=validation.moment(name, value))
    return MessageBound(message=validation.uuid(name, value))


def _limit(limit: int) -> int:
    return validation.count("limit", limit, most=MAX_LIMIT)


def _offset(offset: int) -> int:
    if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
        raise InputError(f"offset must be a whole number of at least 0, not {offset!r}.")
    return offset
