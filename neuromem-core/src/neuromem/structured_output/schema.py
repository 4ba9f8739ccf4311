"""The JSON schema of a reply, closed and with every property required, as strict structured output wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel


def strict_object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with exactly these properties, as strict structured output wants it."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


STRING: dict[str, Any] = {"type": "string"}
MAYBE: dict[str, Any] = {"type": ["string", "null"]}
NUMBER: dict[str, Any] = {"type": ["number", "null"]}
STRINGS: dict[str, Any] = {"type": "array", "items": STRING}
KNOWN: dict[str, Any] = {
    "anyOf": [
        strict_object(
            {
                "id": STRING,
                "standing": {**STRING, "enum": ["repeats", "refines", "contradicts"]},
                "reason": MAYBE,
            }
        ),
        {"type": "null"},
    ]
}
ITEM = {
    "content": STRING,
    "subject": MAYBE,
    "sources": STRINGS,
    "confidence": NUMBER,
    "importance": NUMBER,
    "valence": NUMBER,
    "arousal": NUMBER,
    "emotion": MAYBE,
    "entities": STRINGS,
    "known": KNOWN,
}
FACT = {
    **ITEM,
    "category": MAYBE,
    "states": {**MAYBE, "enum": ["WORKS_AT", "LIVES_IN", "BORN_IN", None]},
    "valid_from": MAYBE,
    "valid_until": MAYBE,
}
EPISODE = {**ITEM, "date": MAYBE, "people": STRINGS, "place": MAYBE}
RELATION = {
    "subject": STRING,
    "subject_type": STRING,
    "relation": STRING,
    "object": STRING,
    "object_type": STRING,
    "sources": STRINGS,
    "confidence": NUMBER,
    "valid_from": MAYBE,
    "valid_until": MAYBE,
}
PROFILE = {
    "identity": MAYBE,
    "occupation": MAYBE,
    "interests": STRINGS,
    "preferences": STRINGS,
    "values": STRINGS,
    "relationships": STRINGS,
    "personality": STRINGS,
}
WITHDRAWN = {"key": {**STRING, "enum": list(PROFILE)}, "entry": STRING}


def reply(*, graph: bool, extra: type[BaseModel] | None) -> dict[str, Any]:
    """Return the schema of a reply; ``extra`` are further fields of facts and episodes."""
    more: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    if extra is not None:
        own = _closed(extra.model_json_schema())
        definitions = own.pop("$defs", {})
        more = {"extra": {"anyOf": [own, {"type": "null"}]}}
    properties = {
        "facts": _list({**FACT, **more}),
        "episodes": _list({**EPISODE, **more}),
        **({"relations": _list(RELATION)} if graph else {}),
        "profile": strict_object(PROFILE),
        "withdrawn": _list(WITHDRAWN),
        "nothing": MAYBE,
    }
    return {**strict_object(properties), **({"$defs": definitions} if definitions else {})}


def _closed(part: Any) -> Any:
    """Return a model's schema with every object closed and every property required; a default is what null means."""
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    if "properties" not in part:
        return {key: _closed(value) for key, value in part.items() if key != "default"}
    properties = {
        name: _closed(one) if name in part.get("required", ()) else _optional(_closed(one))
        for name, one in part["properties"].items()
    }
    rest = {
        key: _closed(value) for key, value in part.items() if key not in {"properties", "required", "default"}
    }
    return {**rest, **strict_object(properties)}


def _optional(part: dict[str, Any]) -> dict[str, Any]:
    null = {"type": "null"}
    return part if null in part.get("anyOf", ()) else {"anyOf": [part, null]}


def _list(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": strict_object(properties)}
