"""Finds and parses the JSON object in a model's reply, and tells whether the reply was cut off or needed repair."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import json_repair

_EMPTY_OBJECT = re.compile(r"\s*(?:```\w*)?\s*\{\s*\}\s*(?:```)?\s*")
_MAX_NESTING = 3


@dataclass(frozen=True, slots=True)
class ReplyShape:
    """By what the object of a reply is recognized.

    Attributes:
        keys: The keys of the object; one of them is enough.
        bare_list: The key whose list some models return alone, without the object around it.
        item_key: A key by which the objects in such a bare list are recognized.
        empty_is_reply: Whether ``{}`` is a reply (nothing found) or no reply at all.
    """

    keys: frozenset[str]
    bare_list: str
    item_key: str
    empty_is_reply: bool


@dataclass(frozen=True, slots=True)
class JsonReply:
    """The JSON object of a reply.

    Attributes:
        value: The object, its keys in small letters; without its last item when the reply was cut off.
        cut: Whether the reply ends inside an item, whatever the server says about how it ended.
        intact: Whether the JSON needed no repair.
    """

    value: dict[str, Any]
    cut: bool
    intact: bool


def parse_json_reply(text: str, shape: ReplyShape) -> JsonReply | None:
    """Return the JSON object in a reply, whatever surrounds or mars it.

    Args:
        text: The reply as the model wrote it: perhaps with prose, fences, single quotes, or without its end.
        shape: By what the object is recognized.

    Returns:
        The object, or None when the reply holds none of this shape.
    """
    value = _find_object(text, shape)
    if value is None or (not value and not shape.empty_is_reply):
        return None
    cut = _is_cut(text)
    return JsonReply(_without_last_item(value) if cut else value, cut, _is_intact(text))


def lower_keys(value: dict[Any, Any]) -> dict[str, Any]:
    """Return an object with its own keys in small letters."""
    return {str(key).lower(): part for key, part in value.items()}


def _find_object(text: str, shape: ReplyShape) -> dict[str, Any] | None:
    if "{" not in text:
        return None
    if _EMPTY_OBJECT.fullmatch(text):
        return {}
    value = json_repair.loads(text)
    if isinstance(value, list):  # prose with brackets, several objects, or the items alone
        objects = [lower_keys(item) for item in value if isinstance(item, dict)]
        whole = [item for item in objects if shape.keys & item.keys()]
        if whole:
            return max(whole, key=len)
        return {shape.bare_list: objects} if any(shape.item_key in item for item in objects) else None
    for _ in range(_MAX_NESTING):
        if not isinstance(value, dict):
            return None
        value = lower_keys(value)
        if shape.keys & value.keys():
            return value
        value = next((inner for inner in value.values() if isinstance(inner, dict)), None)
    return None


def _is_cut(text: str) -> bool:
    depth, quoted, escaped = 0, False, False
    for sign in text[max(0, text.find("{")) :]:
        if quoted:
            quoted, escaped = escaped or sign != '"', not escaped and sign == "\\"
        elif sign == '"':
            quoted = True
        elif sign in "{[":
            depth += 1
        elif sign in "}]":
            depth -= 1
            if depth == 0:
                return False
    return depth > 0 and not text.rstrip(" \n`").endswith(("}", "]"))


def _is_intact(text: str) -> bool:
    try:
        json.loads(text[text.find("{") : text.rfind("}") + 1])
    except ValueError:
        return False
    return True


def _without_last_item(value: dict[str, Any]) -> dict[str, Any]:
    """Return a reply without the item that was cut off: nobody knows how it would have gone on."""
    last = next(reversed(value), None)
    items = value.get(last) if last is not None else None
    if isinstance(items, list) and items:
        return {**value, str(last): items[:-1]}
    return {key: part for key, part in value.items() if key != last}
