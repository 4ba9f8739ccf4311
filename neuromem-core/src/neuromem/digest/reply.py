"""What the model is asked for, and what can be read of its reply: tolerant of form, strict about content."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from neuromem.ingest.extraction import reply
from neuromem.structured_output.coerce import Strings, Ten, Text, clean
from neuromem.structured_output.schema import MAYBE, NUMBER, STRING, STRINGS, strict_object

KEYS = frozenset({"insights", "state", "nothing"})
MAX_INSIGHT = 1_000  # characters
STANDINGS = {
    "reinforce": "reinforces",
    "repeat": "reinforces",
    "repeats": "reinforces",
    "refine": "refines",
    "contradict": "contradicts",
}

POINTER = strict_object(
    {"id": STRING, "standing": {**STRING, "enum": ["reinforces", "refines", "contradicts"]}}
)
INSIGHT = strict_object(
    {
        "content": STRING,
        "category": {**STRING, "enum": ["pattern", "summary"]},
        "importance": NUMBER,
        "evidence": STRINGS,
        "known": {"anyOf": [POINTER, {"type": "null"}]},
    }
)
SCHEMA = strict_object({"insights": {"type": "array", "items": INSIGHT}, "state": MAYBE, "nothing": MAYBE})


def _content(value: object) -> object:
    return "" if value is None else value


def _category(value: object) -> object:
    return "summary" if isinstance(value, str) and value.strip().lower().startswith("summar") else "pattern"


def _pointer(value: object) -> object:
    """Read what an item says about one known insight; anything unusual is no statement about it."""
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if not isinstance(value, dict) or not isinstance(value.get("id"), str | int):
        return None
    said = str(value.get("standing", "")).strip().lower()
    standing = STANDINGS.get(said, said)
    known = standing in STANDINGS.values()
    return {"id": str(value["id"]).strip().lower(), "standing": standing} if known else None


class _Reading(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Pointer(_Reading):
    """How an item stands to one known insight."""

    id: str
    standing: Literal["reinforces", "refines", "contradicts"]


class Item(_Reading):
    """One insight as the model wrote it; ``evidence`` are names of memories, not yet looked up."""

    content: Annotated[Text, BeforeValidator(_content)] = ""
    category: Annotated[Literal["pattern", "summary"], BeforeValidator(_category)] = "pattern"
    importance: Ten = None
    evidence: Strings = ()
    known: Annotated[Pointer | None, BeforeValidator(_pointer)] = None


class Reply(_Reading):
    """What could be read; ``rejected`` counts by reason what could not."""

    insights: tuple[Item, ...] = ()
    state: str | None = None
    rejected: dict[str, int] = {}


def parse(text: str) -> dict[str, Any] | None:
    """Return the JSON object in a reply, whatever surrounds or mars it; None when there is none of the kind."""
    return reply.parse(text, KEYS, bare="insights", mark="evidence") or None


def intact(text: str) -> bool:
    """Tell whether the JSON object in a reply needs no repair: only then an empty one means that there is nothing."""
    try:
        json.loads(text[text.find("{") : text.rfind("}") + 1])
    except ValueError:
        return False
    return True


def read(value: dict[str, Any]) -> Reply:
    """Check a reply item by item: the good ones are kept, the others counted."""
    rejected: Counter[str] = Counter()
    context = {"dropped": rejected}
    items = []
    raws = value.get("insights")
    for raw in raws if isinstance(raws, list) else [raws] if isinstance(raws, dict) else []:
        try:
            item = Item.model_validate(raw, context=context)
        except ValidationError:
            rejected["insight of no use"] += 1
            continue
        removes = item.known is not None and item.known.standing != "refines"
        if clean(item.content, MAX_INSIGHT) is None and not (removes and item.content == ""):
            rejected["insight without content, or too long"] += 1
        else:
            items.append(item)
    state = value.get("state")
    said = clean(state, MAX_INSIGHT) if isinstance(state, str) else None
    if said is not None and said.lower() in {"null", "none", "n/a", "unknown"}:
        said = None
    return Reply.model_construct(None, insights=tuple(items), state=said, rejected=dict(rejected))
