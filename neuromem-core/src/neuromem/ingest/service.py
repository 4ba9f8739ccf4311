"""Stores messages: checks them, then commits them with their pending jobs in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.messages import Message, MessageDict, NewMessage
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.errors import InputError
from neuromem.store.conversations.extraction_outcomes import unextracted_messages
from neuromem.store.conversations.extraction_queue import release_waiting_extractions
from neuromem.store.conversations.messages import append_messages, message_from_row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuromem.config import Settings
    from neuromem.store.conversations.extraction_queue import ExtractionRequest
    from neuromem.store.database.database import Database

FIELDS = frozenset(MessageDict.__annotations__)
REQUIRED = frozenset({"role", "content"})


class IngestService:
    """Checks and stores messages.

    Args:
        database: Where they are stored.
        settings: Which roles are extracted, and how long a message may be.
        wake: Called after a commit that has enqueued jobs.
        extraction: Which extractors are asked and when; None: nothing is extracted.
        auto_extract: Returns whether a message is extracted that does not say so itself.
        reflection_interval: Returns after how many messages of role user a digest is enqueued; 0: never.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        wake: Callable[[], None],
        extraction: ExtractionRequest | None = None,
        auto_extract: Callable[[], bool] = lambda: True,
        reflection_interval: Callable[[], int] = lambda: 0,
    ) -> None:
        self._reflection_interval = reflection_interval
        self._extraction = extraction
        self._auto_extract = auto_extract
        self._database = database
        self._settings = settings
        self._wake = wake

    async def store_messages(
        self, user_id: str, session_id: str | None, given: Sequence[Mapping[str, Any]]
    ) -> tuple[str, list[Message]]:
        """Store messages in one session, all or none; returns the session's id and the stored messages.

        Args:
            user_id: Whose messages.
            session_id: The session; None opens a new one.
            given: The messages; their keys are those of `MessageDict`.

        Raises:
            InputError: A message cannot be stored.
        """
        validation.user_id(user_id)
        if session_id is not None:
            validation.identifier("session_id", session_id)
        if isinstance(given, str | Mapping):
            raise InputError(f"The messages of user {user_id!r} must be a list of dicts.")
        new = [self._new_message(user_id, i, message) for i, message in enumerate(given)]
        if not new:
            raise InputError(f"There are no messages to store for user {user_id!r}.")
        stored = await append_messages(
            self._database,
            user_id,
            session_id,
            new,
            tokens=EntryTokenizer(self._settings.language),
            extraction=self._extraction,
            digest_every=self._reflection_interval(),
        )
        self._wake()
        return stored

    async def release_session(self, user_id: str, session_id: str) -> None:
        """Start the extraction that waits for more messages of a session: it is closed."""
        if self._extraction is not None and self._extraction.on_session_close:
            await release_waiting_extractions(self._database, user_id, session_id)
            self._wake()

    async def unextracted(self, user_id: str, session_id: str | None, limit: int) -> list[Message]:
        """Return the messages whose extraction is not finished, oldest first, each with its state."""
        found = await unextracted_messages(
            self._database, user_id, roles=self._settings.extract_roles, session_id=session_id, limit=limit
        )
        return [replace(message_from_row(row), extraction=state) for row, state in found]

    def _new_message(self, user_id: str, place: int, given: Mapping[str, Any]) -> NewMessage:
        """Build a checked message, the only place where a `NewMessage` is made; ``place`` counts the batch."""
        if not isinstance(given, Mapping):
            raise InputError(
                f"Message {place} of user {user_id!r} must be a dict, not {type(given).__name__}."
            )
        unknown = sorted(map(repr, set(given) - FIELDS))
        if unknown:
            raise InputError(
                f"Message {place} of user {user_id!r} has unknown keys {', '.join(unknown)}; "
                f"known are {', '.join(sorted(FIELDS))}."
            )
        missing = sorted(REQUIRED - set(given))
        if missing:
            raise InputError(f"Message {place} of user {user_id!r} lacks {missing}.")
        extract = given.get("auto_extract")
        if not isinstance(extract, bool | None):
            raise InputError(f"auto_extract must be True, False or None, not {extract!r:.200}.")
        role = validation.role(given["role"])
        wanted = self._auto_extract() if extract is None else extract
        return NewMessage(
            role=role,
            content=validation.content(given["content"], most=self._settings.max_content, whose=user_id),
            name=validation.optional_text("name", given.get("name")),
            metadata=validation.metadata(given.get("metadata")),
            occurred_at=validation.moment("occurred_at", given.get("occurred_at")),
            language=validation.language(given.get("language")),
            idempotency_key=validation.optional_text("idempotency_key", given.get("idempotency_key")),
            extract=wanted and role in self._settings.extract_roles,
        )
