"""Key-value pairs: limits, the namespace that keeps its past, and values as JSON."""

from __future__ import annotations

import json
import math
from typing import Any, TypedDict

from neuromem.errors import InputError

PROFILE = "profile"
VERSIONED_NAMESPACES = frozenset({PROFILE})
"""Namespaces that keep their past: there a change adds a version, elsewhere it overwrites."""

# In bytes of UTF-8; PostgreSQL limits what an index can hold.
MAX_NAMESPACE = 256
MAX_KEY = 1_024
MAX_VALUE = 1_000_000
MAX_NESTING = 100  # levels


class KVItem(TypedDict):
    """One pair as ``kv.list`` returns it."""

    key: str
    value: Any


def json_text(value: object, *, whose: str) -> str:
    """Return a value as JSON that reads back equal.

    Args:
        value: dict with string keys, list, tuple, str, int, finite float, bool or None.
        whose: What the value is, for errors.

    Raises:
        InputError: The value cannot be stored, is too large, or nested too deep.
    """
    _check(value, whose, 0)
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:  # lone surrogates: JSON can hold them escaped
        text = json.dumps(value)
    except ValueError as error:  # an integer of more digits than Python writes
        raise InputError(f"{whose} cannot be stored as JSON: {error}.") from error
    if (size := len(text.encode())) > MAX_VALUE:
        raise InputError(
            f"{whose} has {size:,} bytes as JSON; at most {MAX_VALUE:,} are possible. Split it over several "
            "keys, or store it as a file."
        )
    return text


def _check(value: object, whose: str, depth: int) -> None:
    if depth > MAX_NESTING:
        raise InputError(f"{whose} is nested more than {MAX_NESTING} levels deep; flatten it.")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InputError(f"{whose} has the key {key!r}: JSON objects have strings as keys.")
            _check(item, whose, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, whose, depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{whose} contains {value!r}, which JSON cannot hold; use None or a string.")
    elif not isinstance(value, str | int | None):
        raise InputError(
            f"{whose} contains a {type(value).__name__}, which JSON cannot hold; use dict, list, str, "
            "int, float, bool and None."
        )
