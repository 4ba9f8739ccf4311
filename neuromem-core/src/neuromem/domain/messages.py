"""What was said: messages and the sessions they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from neuromem.domain.extraction import ExtractionState

Role = Literal["user", "assistant", "system", "tool"]
ROLES: tuple[Role, ...] = ("user", "assistant", "system", "tool")


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message.

    ``created_at`` is when neuromem learned it, ``occurred_at`` when it was said; ``position`` counts from 0
    within the session. ``extraction`` says what became of it where the caller asked for that.
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
