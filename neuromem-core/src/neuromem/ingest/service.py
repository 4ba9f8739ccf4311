"""Stores what is said: checked first, then committed with its pending work in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain import checks
from neuromem.domain.messages import Message, MessageDict, NewMessage
from neuromem.domain.searchable import searchable_tokens
from neuromem.errors import InputError
from neuromem.store import memories, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.config import Settings
    from neuromem.domain.memories import Memory, NewMemory
    from neuromem.store.engine import Database

FIELDS = frozenset(MessageDict.__annotations__)
REQUIRED = frozenset({"role", "content"})


class IngestService:
    """Takes messages and memories in."""

    def __init__(
        self, database: Database, settings: Settings, *, needs: str, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._settings = settings
        self._needs = needs
        self._wake = wake

    async def messages(
        self, user_id: str, session_id: str | None, given: Sequence[Mapping[str, Any]]
    ) -> tuple[str, list[Message]]:
        """Store messages in one session, all or none; returns the session's id and the stored messages."""
        checks.user_id(user_id)
        if session_id is not None:
            checks.identifier("session_id", session_id)
        new = [self._message(user_id, i, message) for i, message in enumerate(given)]
        if not new:
            raise InputError(f"There are no messages to store for user {user_id!r}.")
        stored = await messages.append(
            self._database, user_id, session_id, new, tokens=self._message_tokens, needs=self._needs
        )
        self._wake()
        return stored

    async def memory(self, user_id: str, new: NewMemory) -> Memory:
        """Store a memory that was checked."""
        stored = await memories.add(
            self._database, user_id, new, tokens=self._memory_tokens, needs=self._needs
        )
        self._wake()
        return stored

    def _message(self, user_id: str, place: int, given: Mapping[str, Any]) -> NewMessage:
        unknown = sorted(set(given) - FIELDS)
        if unknown:
            raise InputError(
                f"Message {place} of user {user_id!r} has unknown keys {unknown}; known are {sorted(FIELDS)}."
            )
        missing = sorted(REQUIRED - set(given))
        if missing:
            raise InputError(f"Message {place} of user {user_id!r} lacks {missing}.")
        extract = given.get("auto_extract")
        return NewMessage(
            role=checks.role(given["role"]),
            content=checks.content(given["content"], most=self._settings.max_content, whose=user_id),
            name=checks.optional_text("name", given.get("name")),
            metadata=checks.metadata(given.get("metadata")),
            occurred_at=checks.moment("occurred_at", given.get("occurred_at")),
            language=checks.optional_text("language", given.get("language")),
            idempotency_key=checks.optional_text("idempotency_key", given.get("idempotency_key")),
            extract=True if extract is None else bool(extract),
        )

    def _message_tokens(self, new: NewMessage, language: str | None) -> Sequence[str]:
        return searchable_tokens(
            new.content, language or self._settings.language, occurred_at=new.occurred_at
        )

    def _memory_tokens(self, new: NewMemory, language: str | None) -> Sequence[str]:
        return searchable_tokens(
            new.content, language or self._settings.language, occurred_at=new.occurred_at
        )
