"""The schemas that models are sent are derived from the models of their replies, closed and complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from neuromem.digest.reply_models import DIGEST_SCHEMA
from neuromem.domain.graph import SINGLE_VALUED
from neuromem.ingest.extraction.reply_models import extraction_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

STRING = {"type": "string"}
OPTIONAL_STRING = {"type": ["string", "null"]}
OPTIONAL_NUMBER = {"type": ["number", "null"]}
STRINGS = {"type": "array", "items": STRING}
NULL = {"type": "null"}


def closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def list_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": closed(properties)}


def one_of(*words: str | None) -> dict[str, Any]:
    return {"type": ["string", "null"] if None in words else "string", "enum": list(words)}


ITEM = {
    "content": STRING,
    "subject": OPTIONAL_STRING,
    "sources": STRINGS,
    "confidence": OPTIONAL_NUMBER,
    "importance": OPTIONAL_NUMBER,
    "valence": OPTIONAL_NUMBER,
    "arousal": OPTIONAL_NUMBER,
    "emotion": OPTIONAL_STRING,
    "entities": STRINGS,
    "known": {
        "anyOf": [
            closed(
                {
                    "id": STRING,
                    "standing": one_of("repeats", "refines", "contradicts"),
                    "reason": OPTIONAL_STRING,
                }
            ),
            NULL,
        ]
    },
}
FACT = {
    **ITEM,
    "category": OPTIONAL_STRING,
    "states": one_of("WORKS_AT", "LIVES_IN", "BORN_IN", None),
    "valid_from": OPTIONAL_STRING,
    "valid_until": OPTIONAL_STRING,
}
EPISODE = {**ITEM, "date": OPTIONAL_STRING, "people": STRINGS, "place": OPTIONAL_STRING}
RELATION = {
    "subject": STRING,
    "subject_type": STRING,
    "relation": STRING,
    "object": STRING,
    "object_type": STRING,
    "sources": STRINGS,
    "confidence": OPTIONAL_NUMBER,
    "valid_from": OPTIONAL_STRING,
    "valid_until": OPTIONAL_STRING,
}
PROFILE = {
    "identity": OPTIONAL_STRING,
    "occupation": OPTIONAL_STRING,
    "interests": STRINGS,
    "preferences": STRINGS,
    "values": STRINGS,
    "relationships": STRINGS,
    "personality": STRINGS,
}
REPLY = {
    "facts": list_of(FACT),
    "episodes": list_of(EPISODE),
    "relations": list_of(RELATION),
    "profile": closed(PROFILE),
    "withdrawn": list_of({"key": one_of(*PROFILE), "entry": STRING}),
    "nothing": OPTIONAL_STRING,
}


def test_the_schema_of_an_extraction() -> None:
    schema = extraction_schema(graph=True, fields=None)
    assert schema == closed(REPLY)
    assert list(schema["properties"]) == list(REPLY)
    without_graph = {name: value for name, value in REPLY.items() if name != "relations"}
    assert extraction_schema(graph=False, fields=None) == closed(without_graph)


def test_the_schema_of_an_extraction_with_fields_of_the_users_own() -> None:
    class Order(BaseModel):
        """What was ordered."""

        number: int
        paid: bool = False

    extra = {
        "title": "Order",
        "description": "What was ordered.",
        **closed(
            {
                "number": {"title": "Number", "type": "integer"},
                "paid": {"anyOf": [{"title": "Paid", "type": "boolean"}, NULL]},
            }
        ),
    }
    more = {"extra": {"anyOf": [extra, NULL]}}
    assert extraction_schema(graph=True, fields=Order) == closed(
        {**REPLY, "facts": list_of({**FACT, **more}), "episodes": list_of({**EPISODE, **more})}
    )


def test_the_schema_of_a_digest() -> None:
    known = closed({"id": STRING, "standing": one_of("reinforces", "refines", "contradicts")})
    insight = {
        "content": STRING,
        "category": one_of("pattern", "summary"),
        "importance": OPTIONAL_NUMBER,
        "evidence": STRINGS,
        "known": {"anyOf": [known, NULL]},
    }
    whole = {"insights": list_of(insight), "state": OPTIONAL_STRING, "nothing": OPTIONAL_STRING}
    assert closed(whole) == DIGEST_SCHEMA


def test_the_model_is_asked_for_every_single_valued_relation() -> None:
    assert set(FACT["states"]["enum"]) == {*SINGLE_VALUED, None}  # type: ignore[index]
