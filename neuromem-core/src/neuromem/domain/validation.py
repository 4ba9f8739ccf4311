"""Checks of arguments: each returns the value, or raises `InputError` that says what is wrong and what to do next."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from neuromem.domain.memory_types import MEMORY_TYPES, MemoryType
from neuromem.domain.messages import ROLES, Role
from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ID = 512
MAX_ID_BYTES = 1_024
_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")  # as JSON writes it; an escaped backslash before u0000 is text


def user_id(value: object) -> str:
    """Return a user's id."""
    return identifier("user_id", value)


def identifier(name: str, value: object) -> str:
    """Return an id: a non-empty string without NUL, at most `MAX_ID` characters and `MAX_ID_BYTES` in UTF-8.

    Two ids and a number fit into the 2,704 bytes that a key of a PostgreSQL index may have.
    """
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name} must be a non-empty string, not {value!r:.200}.")
    if len(value) > MAX_ID:
        raise InputError(f"{name} has {len(value):,} characters; at most {MAX_ID} are possible.")
    characters(name, value)
    if (size := len(value.encode())) > MAX_ID_BYTES:
        raise InputError(f"{name} has {size:,} bytes in UTF-8; at most {MAX_ID_BYTES:,} are possible.")
    return value


def characters(name: str, value: str) -> str:
    """Return a string that PostgreSQL can store."""
    if "\0" in value:
        raise InputError(f"{name} contains a NUL character, which text in PostgreSQL cannot hold; remove it.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{name} contains a lone surrogate, which is not a character; decode the text again, for example "
            "with errors='replace'."
        ) from None
    return value


def content(value: object, *, most: int, whose: str, name: str = "content") -> str:
    """Return a text that is not blank, of at most ``most`` characters; ``whose`` and ``name`` are for errors."""
    if not isinstance(value, str):
        raise InputError(f"{name} of user {whose!r} must be a string, not {type(value).__name__}.")
    if not value.strip():
        raise InputError(f"{name} of user {whose!r} is empty; nothing was stored.")
    if len(value) > most:
        raise InputError(
            f"{name} of user {whose!r} has {len(value):,} characters; at most {most:,} are possible "
            "(settings.max_content). Split it, or store it as a file."
        )
    return characters(name, value)


def role(value: object) -> Role:
    """Return a role."""
    for known in ROLES:
        if value == known:
            return known
    raise InputError(f"The role {value!r} is not known; use one of {', '.join(ROLES)}.")


def memory_type(value: object) -> MemoryType:
    """Return a memory type."""
    for known in MEMORY_TYPES:
        if value == known:
            return known
    raise InputError(f"The memory type {value!r} is not known; use one of {', '.join(MEMORY_TYPES)}.")


def moment(name: str, value: object) -> datetime | None:
    """Return a timezone-aware datetime, or None."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InputError(f"{name} must be a datetime, not {type(value).__name__}.")
    if value.tzinfo is None or value.utcoffset() is None:
        raise InputError(
            f"{name} is the naive datetime {value.isoformat()}; give it a time zone, for example "
            "value.replace(tzinfo=datetime.UTC)."
        )
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise InputError(f"{name} is {value.isoformat()}, which in UTC is outside of the calendar.") from None
    return value


def optional_text(name: str, value: object) -> str | None:
    """Return a short string, or None."""
    return None if value is None else identifier(name, value)


def language(value: object) -> str | None:
    """Return a language tag such as "de" or "pt-BR", or None."""
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*", value):
        raise InputError(f"language must be a tag such as 'de' or 'pt-BR', not {value!r:.100}.")
    return value


def metadata(value: object, name: str = "metadata") -> Mapping[str, Any]:
    """Return a mapping that JSON can hold; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{name} must be a dict with string keys, not {value!r:.200}.")
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{name} cannot be stored as JSON: {error}.") from error
    characters(name, text)
    if _NUL.search(text):
        raise InputError(f"{name} contains a NUL character, which PostgreSQL cannot hold; remove it.")
    return value


def number(name: str, value: object, low: float, high: float) -> float | None:
    """Return a number in [low, high], or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")
    return float(value)


def count(name: str, value: object, *, most: int) -> int:
    """Return a whole number from 1 to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InputError(f"{name} must be a whole number from 1 to {most:,}, not {value!r}.")
    return value


def offset(value: object) -> int:
    """Return a whole number from 0 on: how many items of a list are skipped."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"offset must be a whole number of at least 0, not {value!r}.")
    return value


def uuid(name: str, value: object) -> str:
    """Return an id that neuromem gave."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise InputError(f"{name} must be an id that neuromem gave, not {value!r:.200}.") from None
