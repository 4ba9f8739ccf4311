"""The request body of a chat, in the variants in which OpenAI-compatible servers differ."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.plugin import ChatMessage
    from neuromem.plugin.http import HttpStatusError

_REASONS = re.compile(r"o\d|gpt-5(?!.*chat)|deepseek-reasoner|.*(deepseek-r1|thinking)", re.IGNORECASE)
_OPENAI_REASONS = re.compile(r"o\d|gpt-5(?!.*chat)", re.IGNORECASE)
# max_tokens is meant for the answer, but what a model thinks before it counts against the same limit
_REASONING_TOKENS = 8192
_NOT_IN_A_NAME = re.compile(r"[\s<|\\/>]+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one server understands.

    Attributes:
        json_format: The strongest form in which it takes a request for JSON.
        schema_in_prompt: Write the JSON schema into the messages too.
        completion_tokens: It calls the limit ``max_completion_tokens`` instead of ``max_tokens``.
        temperature: It accepts a temperature.
    """

    json_format: Literal["json_schema", "json_object", "text"]
    schema_in_prompt: bool
    completion_tokens: bool
    temperature: bool

    @classmethod
    def of(cls, model: str, *, json_schema: bool, is_openai: bool) -> Dialect:
        """Return the dialect to begin with, guessed from the name of the model."""
        reasons = bool(_OPENAI_REASONS.match(model))
        return cls(
            json_format="json_schema" if json_schema else "json_object",
            schema_in_prompt=not is_openai,  # others may take a schema and not keep to it
            completion_tokens=reasons,
            temperature=not reasons,
        )

    def payload(
        self,
        model: str,
        messages: Sequence[ChatMessage],
        temperature: float,
        max_tokens: int,
        json_schema: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Return the body of the request."""
        limit = max_tokens + _REASONING_TOKENS if _REASONS.match(model) else max_tokens
        turns = [_turn(message) for message in messages]
        payload: dict[str, Any] = {
            "model": model,
            "messages": turns,
            "max_completion_tokens" if self.completion_tokens else "max_tokens": limit,
        }
        if self.temperature:
            payload["temperature"] = temperature
        if json_schema is None:
            return payload
        if self.json_format == "json_schema":
            shape = {"name": "reply", "schema": json_schema, "strict": is_strict(json_schema)}
            payload["response_format"] = {"type": "json_schema", "json_schema": shape}
        elif self.json_format == "json_object":
            payload["response_format"] = {"type": "json_object"}
        if self.schema_in_prompt or self.json_format != "json_schema":
            payload["messages"] = _with_schema(turns, json_schema)
        return payload

    def after(self, error: HttpStatusError, *, wants_json: bool) -> Dialect | None:
        """Return the dialect to try after the server refused a request; None when there is none left."""
        if error.status not in (400, 422):
            return None
        if "max_completion_tokens" in error.detail:
            return replace(self, completion_tokens=not self.completion_tokens)
        if "temperature" in error.detail and self.temperature:
            return replace(self, temperature=False)
        if not wants_json or self.json_format == "text":
            return None
        # Servers have many words for "no such response_format", some none at all: the next format shows it.
        return replace(self, json_format="json_object" if self.json_format == "json_schema" else "text")


def is_strict(schema: Any) -> bool:
    """Return whether OpenAI can enforce a JSON schema: closed objects, every property required."""
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) or schema.get("type") == "object":
        names = set(properties or ())
        if schema.get("additionalProperties") is not False or names != set(schema.get("required", ())):
            return False
        if not all(map(is_strict, (properties or {}).values())):
            return False
    return all(is_strict(value) for key, value in schema.items() if key not in ("properties", "required"))


def _turn(message: ChatMessage) -> dict[str, str]:
    turn = {"role": message["role"], "content": message["content"]}
    name = _NOT_IN_A_NAME.sub("_", message.get("name", ""))[:64]
    return {**turn, "name": name} if name else turn


def _with_schema(turns: list[dict[str, str]], schema: Mapping[str, Any]) -> list[dict[str, str]]:
    asked = (
        "Reply with one JSON object and nothing else. It has to match this JSON schema:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )
    if turns and turns[0]["role"] == "system":
        return [{**turns[0], "content": f"{turns[0]['content']}\n\n{asked}"}, *turns[1:]]
    return [{"role": "system", "content": asked}, *turns]
