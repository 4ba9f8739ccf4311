"""``nm.conversations``: messages and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.messages import Message, MessageDict
    from neuromem.ingest.service import IngestService


class Conversations:
    """What was said, session by session."""

    def __init__(self, service: IngestService) -> None:
        self._service = service

    async def ingest(
        self, user_id: str, role: str, content: str, session_id: str | None = None, *, name: str | None = None,
        metadata: Mapping[str, Any] | None = None, occurred_at: datetime | None = None,
        auto_extract: bool | None = None, language: str | None = None, idempotency_key: str | None = None,
    ) -> Message:  # fmt: skip
        """Store a message and return it; its words are found at once, its meaning when it is embedded.

        ``session_id=None`` opens a new session. Raises `InputError` before anything is stored.
        """
        message = {
            "role": role, "content": content, "name": name, "metadata": metadata, "occurred_at": occurred_at,
            "auto_extract": auto_extract, "language": language, "idempotency_key": idempotency_key,
        }  # fmt: skip
        _, (stored,) = await self._service.messages(user_id, session_id, [message])
        return stored

    async def add_messages_batch(
        self, user_id: str, messages: Sequence[MessageDict], session_id: str | None = None
    ) -> tuple[str, list[str]]:
        """Store many messages of one session, all or none; returns the session's id and the messages' ids."""
        session, stored = await self._service.messages(user_id, session_id, messages)
        return session, [message.id for message in stored]
