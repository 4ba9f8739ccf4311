"""Instructions, fields and a prompt of the user's own: checked at the start, sent to the model, stored."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, Field

from neuromem.config import Settings
from neuromem.errors import ConfigurationError
from neuromem.ingest.extraction.llm_extractor import PROMPT, PROMPTS, RELATIONS
from neuromem.ingest.extraction.reply_models import extraction_schema, validate_extraction_reply
from neuromem.memory import NeuroMemory
from neuromem.structured_output.prompt_text import read_prompt
from neuromem.testing import HashEmbedding
from neuromem.testing.internals import database_of
from tests.conftest import opened
from tests.ingest.extraction.conftest import FAST
from tests.ingest.extraction.model import answering, llm
from tests.support.http_server import Reply

if TYPE_CHECKING:
    from tests.support.http_server import HttpServer, Request


class Topic(Enum):
    """What a ticket is about."""

    BILLING = "billing"
    LOGIN = "login"


class Ticket(BaseModel):
    """What a support desk wants to know."""

    topic: Topic
    product: str | None = Field(default=None, description="the product's name, as said")
    urgent: bool = False
    due: date | None = None


SAID = {
    "facts": [
        {
            "content": "Alice cannot log in to Acme Mail.",
            "extra": {"topic": "login", "product": "Acme Mail", "urgent": None, "due": "2026-12-01"},
        },
        {"content": "Alice pays by card.", "extra": {"topic": "weather"}},
        {"content": "Alice is patient.", "extra": None},
        {"content": "Alice has a cat.", "extra": "none"},
    ],
    "episodes": [{"content": "Alice was billed twice.", "place": "Oslo", "extra": {"topic": "billing"}}],
}


async def test_own_fields_are_asked_for_checked_and_kept_in_the_metadata(
    database_url: str, model: HttpServer
) -> None:
    model.always = answering(lambda shown: SAID)
    settings = {
        **FAST,
        "extraction": {"fields": Ticket, "instructions": "Ignore small talk about the weather."},
    }
    async with opened(database_url, llm=llm(model), settings=settings) as nm:
        await nm.ingest("alice", "user", "I cannot log in to Acme Mail, and was billed twice in Oslo")
        await nm.drain()
        kept = {memory.content: memory for memory in await nm.get_recent_memories("alice")}
        assert kept["Alice cannot log in to Acme Mail."].metadata == {
            "topic": "login",
            "product": "Acme Mail",
            "urgent": False,
            "due": "2026-12-01",
        }
        assert kept["Alice was billed twice."].metadata == {
            "topic": "billing",
            "urgent": False,
            "place": "Oslo",
        }
        plain = ("Alice pays by card.", "Alice is patient.", "Alice has a cat.")
        assert [dict(kept[content].metadata) for content in plain] == [{}, {}, {}]
        found = await nm.recall("alice", "Alice", metadata={"topic": "login"})
        assert [item["content"] for item in found["merged"]] == ["Alice cannot log in to Acme Mail."]
        async with database_of(nm).user("alice") as transaction:
            origin = await transaction.value("SELECT origin FROM {s}.extractions")
    assert origin["rejected"] == {"extra fields of no use": 2}
    assert origin["prompt"].startswith("extraction-3+")
    asked = model.requests[0].json
    system = asked["messages"][0]["content"]
    assert "Ignore small talk about the weather." in system
    assert '- "product": the product\'s name, as said' in system
    assert "{instructions}" not in system
    items = asked["response_format"]["json_schema"]["schema"]["properties"]["facts"]["items"]
    assert items["properties"]["extra"]["anyOf"][0]["required"] == ["topic", "product", "urgent", "due"]


async def test_a_prompt_of_the_users_own_replaces_the_built_in_one(
    database_url: str, model: HttpServer
) -> None:
    own = "Note what is said about ships.\n{relations}{instructions}"
    settings = {**FAST, "extraction": {"prompt": own, "instructions": "And about boats."}}
    async with opened(database_url, llm=llm(model), settings=settings) as nm:
        await nm.ingest("alice", "user", "My ship is called Argo")
        await nm.drain()
        (memory,) = await nm.get_recent_memories("alice")
        assert memory.origin["prompt"].startswith("own-")
    assert (
        model.requests[0]
        .json["messages"][0]["content"]
        .startswith("Note what is said about ships.\n\nMore instructions:\nAnd about boats.\n\n")
    )


async def test_fields_come_through_servers_that_know_no_schema(database_url: str, model: HttpServer) -> None:
    def picky(request: Request) -> Reply:
        if request.json.get("response_format", {}).get("type") == "json_schema":
            return Reply({"error": {"message": "json_schema is not supported"}}, status=400)
        return answering(lambda shown: SAID)(request)

    model.always = picky
    async with opened(
        database_url, llm=llm(model), settings={**FAST, "extraction": {"fields": Ticket}}
    ) as nm:
        await nm.ingest("alice", "user", "I cannot log in")
        await nm.drain()
        kept = {memory.content: memory.metadata for memory in await nm.get_recent_memories("alice")}
    assert kept["Alice cannot log in to Acme Mail."]["topic"] == "login"
    assert "Ticket" in model.requests[-1].json["messages"][0]["content"]


def objects(part: Any) -> list[dict[str, Any]]:
    """The schemas of objects in a schema, at any depth."""
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    found = [one for value in inner for one in objects(value)]
    return [part, *found] if isinstance(part, dict) and part.get("type") == "object" else found


def test_every_object_of_the_schema_is_closed_with_every_property_required() -> None:
    """As strict structured output wants it, whatever the user's model looks like."""

    class Line(BaseModel):
        item: str
        amount: float = 1.0

    class Order(Ticket):
        lines: list[Line] = []
        first: Line | None = None

    whole = extraction_schema(graph=True, fields=Order)
    shapes = objects(whole)
    assert len(shapes) >= 8
    assert all(shape["additionalProperties"] is False for shape in shapes)
    assert all(shape["required"] == list(shape["properties"]) for shape in shapes)
    assert "default" not in json.dumps(whole)


class Unspeakable(BaseModel, arbitrary_types_allowed=True):
    """Has what JSON has not."""

    where: HashEmbedding


class Taken(BaseModel):
    """Has a name that is taken."""

    place: str


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"fields": dict}, "should be a subclass of BaseModel"),
        ({"fields": "no.such.module:Thing"}, "extraction.fields: .*Python cannot import it"),
        ({"fields": Unspeakable}, "Use fields that JSON has"),
        ({"fields": Taken}, r"cannot have \['place'\]"),
        ({"prompt": "Extract!", "instructions": "Be brief."}, r"put \{instructions\} where"),
        ({"prompt": ""}, "extraction.prompt"),
        ({"instruction": "Be brief."}, "extraction.instruction"),
    ],
)
def test_what_cannot_be_asked_of_a_model_is_refused_at_the_start(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        NeuroMemory("postgresql://h/d", HashEmbedding(), llm_never_asked(), settings={"extraction": wrong})


def llm_never_asked() -> Any:
    """A model that is never asked."""
    from neuromem_openai import OpenAILLM

    return OpenAILLM("key", "test-model", "http://localhost:1/v1")


def test_fields_may_be_named_in_the_environment() -> None:
    env = {
        "NEUROMEM_EXTRACTION__FIELDS": f"{__name__}:Ticket",
        "NEUROMEM_EXTRACTION__INSTRUCTIONS": "Be brief.",
    }
    settings = Settings.load(env=env)
    assert settings.extraction.fields is Ticket
    assert settings.stage_options["llm"]["instructions"] == "Be brief."


def fits(value: Any, shape: dict[str, Any]) -> bool:
    """Whether a value is one that a closed schema without references allows."""
    if "anyOf" in shape:
        return any(fits(value, one) for one in shape["anyOf"])
    kinds = {"string": str, "number": float | int, "null": type(None), "array": list, "object": dict}
    types = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
    if not any(isinstance(value, kinds[kind]) for kind in types) or value not in shape.get("enum", [value]):
        return False
    if isinstance(value, list):
        return all(fits(one, shape["items"]) for one in value)
    properties = shape["properties"] if isinstance(value, dict) else {}
    return not isinstance(value, dict) or (
        value.keys() == properties.keys() and all(fits(value[name], one) for name, one in properties.items())
    )


def test_the_example_in_the_prompt_is_a_reply_as_it_is_asked_for() -> None:
    system = read_prompt(PROMPTS, PROMPT)
    line = next(line for line in system.splitlines() if line.startswith('{"facts"'))
    example = json.loads(line)
    assert fits(example, extraction_schema(graph=False, fields=None))
    related = json.loads(RELATIONS[RELATIONS.index("[{") : RELATIONS.rindex("]") + 1])
    assert fits({**example, "relations": related}, extraction_schema(graph=True, fields=None))
    assert not fits({**example, "profile": {}}, extraction_schema(graph=False, fields=None))
    read = validate_extraction_reply(
        {**example, "relations": related}, lambda sources: datetime(2023, 5, 8, tzinfo=UTC)
    )
    assert (len(read.facts), len(read.episodes), len(read.relations), read.rejected) == (1, 1, 1, {})
    names = {
        name for shape in objects(extraction_schema(graph=True, fields=None)) for name in shape["properties"]
    }
    assert len(names) > 30
    for name in names:
        assert f'"{name}"' in system + RELATIONS, name
