"""The JSON schema of a reply, derived from its pydantic models.

Every object is closed and every property required, as strict structured output wants it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

NULL: dict[str, Any] = {"type": "null"}
_ANNOTATIONS = frozenset({"title", "description", "default"})


def strict_object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def reply_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the strict schema of a model of a reply, without references, titles and descriptions.

    The forms that the coerced types of `coerce` have in the schema (a string or null, a number or null) are declared
    with them. Fields annotated with `SkipJsonSchema` are left out.
    """
    schema = model.model_json_schema(by_alias=False)
    definitions = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inlined(schema, definitions)
    return inlined


def user_model_schema(model: type[BaseModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the strict schema of a user's own model, and the definitions that it refers to.

    Titles and descriptions are kept, they are for the model that reads them. A field with a default may be null:
    nothing was said of it.

    Raises:
        PydanticUserError: A field has a type that JSON has not.
    """
    schema: dict[str, Any] = _closed(model.model_json_schema())
    return schema, schema.pop("$defs", {})


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also allows null."""
    return schema if NULL in schema.get("anyOf", ()) else {"anyOf": [schema, NULL]}


def _inlined(part: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inlined(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(definitions[part["$ref"].rpartition("/")[2]], definitions)
    if "properties" in part:
        return strict_object({name: _inlined(one, definitions) for name, one in part["properties"].items()})
    return {key: _inlined(value, definitions) for key, value in part.items() if key not in _ANNOTATIONS}


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    if "properties" not in part:
        return {key: _closed(value) for key, value in part.items() if key != "default"}
    properties = {
        name: _closed(one) if name in part.get("required", ()) else nullable(_closed(one))
        for name, one in part["properties"].items()
    }
    rest = {
        key: _closed(value) for key, value in part.items() if key not in {"properties", "required", "default"}
    }
    return {**rest, **strict_object(properties)}
