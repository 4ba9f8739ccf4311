"""``nm.conversations``: messages and sessions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.messages import MessageDict
from neuromem.errors import NotFoundError
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

    from neuromem.domain.messages import Message, Session
    from neuromem.domain.recall_result import RecallItem
    from neuromem.ingest.service import IngestService
    from neuromem.recall.service import RecallService
    from neuromem.store.database.database import Database

MAX_LIMIT = 10_000


class Conversations:
    """Messages, session by session.

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

        Args:
            user_id: Whose message it is.
            role: "user", "assistant", "system" or "tool".
            content: The text, at most ``settings.max_content`` characters.
            session_id: The conversation, at most 512 characters; None opens a new one.
            name: Who said it, where several people take part.
            metadata: A dict that JSON can hold; filters can ask for it.
            occurred_at: When it was said; timezone-aware. None: now.
            auto_extract: Whether memories are extracted from it; None: the setting of `NeuroMemory`. Only roles in
                ``settings.extract_roles`` are extracted.
            language: Its language, such as "de"; None: the user's.
            idempotency_key: A message of this user with the same key is stored once and returned again.

        Returns:
            The stored message with its id and session.

        Raises:
            InputError: An argument cannot be used; nothing was stored.
        """
        message = MessageDict(
            role=role,
            content=content,
            name=name,
            metadata=metadata,
            occurred_at=occurred_at,
            auto_extract=auto_extract,
            language=language,
            idempotency_key=idempotency_key,
        )
        _, (stored,) = await self._service.store_messages(user_id, session_id, [message])
        return stored

    async def add_messages_batch(
        self, user_id: str, messages: Sequence[MessageDict], session_id: str | None = None
    ) -> tuple[str, list[str]]:
        """Store many messages of one session, all or none; returns the session's id and the messages' ids.

        Args:
            user_id: Whose messages.
            messages: Dicts whose keys are the arguments of `ingest`; ``role`` and ``content`` are required.
            session_id: The conversation; None opens a new one.

        Returns:
            The session's id, and the messages' ids in the order of ``messages``.

        Raises:
            InputError: A message cannot be stored, or there is none; nothing was stored.
        """
        session, stored = await self._service.store_messages(user_id, session_id, messages)
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

        Args:
            user_id: Whose session.
            session_id: The session.
            limit: How many at most, 1 to 10,000.
            offset: How many to skip.
            before: A message's id or a moment: only what was said earlier. Alone, it gives the messages nearest to it,
                as for scrolling back.
            after: A message's id or a moment: only what was said later.

        Returns:
            The messages; none when there is no such session.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: ``before`` or ``after`` is an id that is not of this session.
        """
        found = await session_messages(
            self._database,
            validation.user_id(user_id),
            validation.identifier("session_id", session_id),
            limit=_limit(limit),
            offset=validation.offset(offset),
            before=_bound("before", before),
            after=_bound("after", after),
        )
        if found is None:
            raise NotFoundError(
                f"Session {session_id!r} of user {user_id!r} has no message {before if after is None else after!r}."
            )
        return found

    async def list_sessions(self, user_id: str, limit: int = 50, offset: int = 0) -> list[Session]:
        """Return sessions with their counts, the one with the latest message first.

        Args:
            user_id: Whose sessions.
            limit: How many at most, 1 to 10,000.
            offset: How many to skip.

        Returns:
            The sessions, each with ``message_count``.

        Raises:
            InputError: An argument cannot be used.
        """
        return await fetch_sessions(
            self._database, validation.user_id(user_id), limit=_limit(limit), offset=validation.offset(offset)
        )

    async def get_session(self, user_id: str, session_id: str) -> Session | None:
        """Return a session; None when there is none.

        Args:
            user_id: Whose session.
            session_id: The session.

        Returns:
            The session, with ``message_count``.

        Raises:
            InputError: An argument cannot be used.
        """
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
        """Change a session's title or replace its metadata; None leaves as it is.

        Args:
            user_id: Whose session.
            session_id: The session.
            title: The new title, at most 512 characters.
            metadata: Replaces the old metadata as a whole.

        Returns:
            The changed session.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: There is no such session.
        """
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
        """Mark a conversation as over, and extract now what waited for more of it; a further message reopens it.

        Args:
            user_id: Whose session.
            session_id: The session.

        Returns:
            The closed session.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: There is no such session.
        """
        closed = await close_session(
            self._database, validation.user_id(user_id), validation.identifier("session_id", session_id)
        )
        await self._service.release_session(user_id, session_id)
        return _found(closed, user_id, session_id)

    async def get_unextracted_messages(
        self, user_id: str, session_id: str | None = None, limit: int = 100
    ) -> list[Message]:
        """Return the messages whose extraction is not finished, oldest first.

        Args:
            user_id: Whose messages.
            session_id: One session; None: all.
            limit: How many at most, 1 to 10,000.

        Returns:
            The messages. ``extraction`` of each is its state: waiting, failed with the error, the attempts and the next
            try, dead, or none when extraction was not asked for.

        Raises:
            InputError: An argument cannot be used.
        """
        return await self._service.unextracted(
            validation.user_id(user_id), validation.optional_text("session_id", session_id), _limit(limit)
        )

    async def search(
        self, user_id: str, query: str, session_id: str | None = None, limit: int = 20
    ) -> list[RecallItem]:
        """Return the messages that answer a question best, of all sessions or of one; see `NeuroMemory.recall`.

        Args:
            user_id: Whose messages.
            query: The question, at most 100,000 characters.
            session_id: One session; None: all.
            limit: How many at most, 1 to 10,000.

        Returns:
            Items as in ``merged`` of `recall`.

        Raises:
            InputError: The question cannot be asked so.
            RecallError: A retriever or reranker failed or was late.
        """
        question = self._recall.question(
            user_id, query, limit, memory_type="message", include_conversations=True
        )
        session = validation.optional_text("session_id", session_id)
        question = replace(question, filters=replace(question.filters, session_id=session))
        outcome, snapshot = await self._recall.run(question)
        return result(outcome, snapshot, limit=limit, explain=False)["merged"]

    async def delete_session(self, user_id: str, session_id: str) -> dict[str, int]:
        """Erase a session and what was derived from it alone, from the past too; returns counts by kind.

        What other sessions say as well is kept, and what the session had ended, overwritten or taken back holds again:
        memories, relations, the profile.

        Args:
            user_id: Whose session.
            session_id: The session.

        Returns:
            How much was erased, by kind; zeros when there is no such session.

        Raises:
            InputError: An argument cannot be used.
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
