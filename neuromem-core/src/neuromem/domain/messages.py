"""Messages, the sessions they belong to, and the state of their extraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Role = Literal["user", "assistant", "system", "tool"]
ROLES: tuple[Role, ...] = ("user", "assistant", "system", "tool")


@dataclass(frozen=True, slots=True)
class ExtractionState:
    """How far a message's extraction is.

    Attributes:
        state: ``none``: not asked for; ``waiting``: not tried yet; ``failed``: will be tried again; ``dead``: given up;
            ``done``: memories were made; ``empty``: nothing to keep.
        why: The error of the last attempt, the reason for a pause (a budget), or why there was nothing to keep.
        attempts: How often it was tried.
        next_try: When it will be tried next.
    """

    state: Literal["none", "waiting", "failed", "dead", "done", "empty"]
    why: str | None = None
    attempts: int = 0
    next_try: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message.

    Attributes:
        id: Its id, unique for the user.
        user_id: The user.
        session_id: The session it belongs to.
        position: Its place in the session, from 0.
        role: ``user``, ``assistant``, ``system`` or ``tool``.
        content: The text.
        created_at: When neuromem stored it.
        occurred_at: When it was said.
        name: Who spoke, if that was given.
        metadata: What the caller stored with it.
        language: The language that was declared for it.
        idempotency_key: The caller's key by which a second attempt to store it is recognized.
        extraction: The state of its extraction, where the caller asked for it.
    """

    id: str
    user_id: str
    session_id: str
    position: int
    role: Role
    content: str
    created_at: datetime
    occurred_at: datetime
    name: str | None
    metadata: Mapping[str, Any]
    language: str | None
    idempotency_key: str | None
    extraction: ExtractionState | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation of one user; its id is unique for that user only."""

    id: str
    user_id: str
    title: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    message_count: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that was checked and is ready to be stored."""

    role: Role
    content: str
    occurred_at: datetime | None = None
    name: str | None = None
    metadata: Mapping[str, Any] | None = None
    language: str | None = None
    idempotency_key: str | None = None
    extract: bool = True


class MessageDict(TypedDict):
    """One message as ``add_messages_batch`` takes it: the keys are the arguments of ``ingest``."""

    role: str
    content: str
    name: NotRequired[str | None]
    metadata: NotRequired[Mapping[str, Any] | None]
    occurred_at: NotRequired[datetime | None]
    language: NotRequired[str | None]
    idempotency_key: NotRequired[str | None]
    auto_extract: NotRequired[bool | None]
