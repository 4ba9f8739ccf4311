"""Reads what a model replied: tolerant of its form, strict about its content, item by item."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import json_repair
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from neuromem.structured_output.coerce import Moment, Short, Signed, Strings, Ten, Text, Unit, clean, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

LISTS = ("facts", "episodes", "relations")
KEYS = frozenset({*LISTS, "profile", "withdrawn", "nothing"})
MAX_REASON = 500
EMPTY = re.compile(r"\s*(?:```\w*)?\s*\{\s*\}\s*(?:```)?\s*")


def _pointer(value: object) -> object:
    """Read what an item says about one known memory; anything unusual is no statement about it."""
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if not isinstance(value, dict) or not isinstance(value.get("id"), str | int):
        return None
    standing = str(value.get("standing", value.get("how", value.get("relation", "")))).strip().lower()
    known = {"repeat": "repeats", "refine": "refines", "contradict": "contradicts"}
    standing = known.get(standing, standing)
    if standing not in ("repeats", "refines", "contradicts"):
        return None
    reason = clean(value.get("reason"))
    said = reason[:MAX_REASON] if reason else None
    return {"id": str(value["id"]).strip(), "standing": standing, "reason": said}


Named = Annotated[Text, BeforeValidator(plain)]


class _Reading(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Pointer(_Reading):
    """How an item stands to one known memory."""

    id: str
    standing: Literal["repeats", "refines", "contradicts"]
    reason: str | None = None


CONTENT = AliasChoices("content", "text", "fact", "statement", "episode", "event", "description")


class Item(_Reading):
    """What facts and episodes have in common; models that do not keep to the schema have other names for it."""

    content: Text = Field(validation_alias=CONTENT)
    sources: Strings = ()
    subject: Short = None
    confidence: Unit = None
    importance: Ten = None
    valence: Signed = None
    arousal: Unit = None
    emotion: Short = None
    entities: Strings = ()
    known: Annotated[Pointer | None, BeforeValidator(_pointer)] = None
    extra: Any = None


class Fact(Item):
    """A lasting statement."""

    category: Short = None
    states: Short = None
    valid_from: Moment = None
    valid_until: Moment = None


class Episode(Item):
    """Something that happens at some time."""

    date: Moment = Field(default=None, validation_alias=AliasChoices("date", "when", "time"))
    people: Strings = ()
    place: Short = None


class Relation(_Reading):
    """A relation between two named things."""

    subject: Named
    relation: Annotated[Text, Field(validation_alias=AliasChoices("relation", "predicate"))]
    object: Named
    subject_type: Short = None
    object_type: Short = None
    sources: Strings = ()
    confidence: Unit = None
    valid_from: Moment = None
    valid_until: Moment = None


class Withdrawn(_Reading):
    """An entry of the profile that does not hold any more."""

    key: Text
    entry: Text


class Reply(_Reading):
    """What could be read; ``rejected`` counts by reason what could not."""

    facts: tuple[Fact, ...] = ()
    episodes: tuple[Episode, ...] = ()
    relations: tuple[Relation, ...] = ()
    profile: dict[str, Any] = {}
    withdrawn: tuple[Withdrawn, ...] = ()
    nothing: str | None = None
    rejected: dict[str, int] = {}

    @property
    def items(self) -> int:
        """How many items there are."""
        return (
            len(self.facts)
            + len(self.episodes)
            + len(self.relations)
            + len(self.profile)
            + len(self.withdrawn)
        )


KINDS: dict[str, type[BaseModel]] = {
    "facts": Fact,
    "episodes": Episode,
    "relations": Relation,
    "withdrawn": Withdrawn,
}


def parse(
    text: str, keys: frozenset[str] = KEYS, *, bare: str = "facts", mark: str = "content"
) -> dict[str, Any] | None:
    """Return the JSON object in a reply, whatever surrounds or mars it; None when there is none of the kind.

    Of the kind is what has one of the ``keys``, or nothing at all. A list of objects with a ``mark`` counts as the
    value of ``bare``.
    """
    if "{" not in text:
        return None
    if EMPTY.fullmatch(text):
        return {}
    value = json_repair.loads(text)
    if isinstance(value, list):  # prose with brackets, several objects, or the items alone
        objects = [_small(item) for item in value if isinstance(item, dict)]
        whole = [item for item in objects if keys & item.keys()]
        if whole:
            return max(whole, key=len)
        return {bare: objects} if any(mark in item for item in objects) else None
    for _ in range(3):
        if not isinstance(value, dict):
            return None
        value = _small(value)
        if keys & value.keys():
            return value
        value = next((inner for inner in value.values() if isinstance(inner, dict)), None)
    return None


def is_cut(text: str) -> bool:
    """Tell whether a reply ends inside an item, whatever its server says about how it ended."""
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


def without_last(value: dict[str, Any]) -> dict[str, Any]:
    """Return a reply that was cut without the item at its end: nobody knows how that would have gone on."""
    last = next(reversed(value), None)
    items = value.get(last) if last is not None else None
    if isinstance(items, list) and items:
        return {**value, str(last): items[:-1]}
    return {key: said for key, said in value.items() if key != last}


def read(value: dict[str, Any], when: Callable[[Sequence[str]], datetime]) -> Reply:
    """Check a reply item by item: the good ones are kept, the others counted.

    ``when`` tells when the turns that an item names were said, in the speaker's time.
    """
    rejected: Counter[str] = Counter()
    context = {"when": when, "dropped": rejected}
    found: dict[str, list[BaseModel]] = {}
    for name, kind in KINDS.items():
        found[name] = []
        for raw in _list(value.get(name)):
            try:
                item = kind.model_validate(_shaped(raw), context=context)
            except ValidationError as error:
                place = error.errors()[0]["loc"]
                rejected[f"{name}: {'.'.join(map(str, place)) or 'item'} of no use"] += 1
            else:
                found[name].append(item)
    profile = value.get("profile")
    nothing = value.get("nothing")
    return Reply.model_construct(
        None,
        **{name: tuple(items) for name, items in found.items()},
        profile={key: said for key, said in profile.items() if said} if isinstance(profile, dict) else {},
        nothing=(clean(nothing) or "")[:200] or None,
        rejected=dict(rejected),
    )


def _shaped(raw: object) -> object:
    """Return an item as an object with keys in small letters: some models write a text, or a triple."""
    if isinstance(raw, str):
        return {"content": raw}
    if isinstance(raw, list) and len(raw) == 3:
        return dict(zip(("subject", "relation", "object"), raw, strict=True))
    return _small(raw) if isinstance(raw, dict) else raw


def _small(value: dict[Any, Any]) -> dict[str, Any]:
    """Return an object with its own keys in small letters."""
    return {str(key).lower(): said for key, said in value.items()}


def _list(value: object) -> list[Any]:
    if isinstance(value, dict):  # one item, or items by number
        return [value] if {"content", "subject"} & value.keys() else list(value.values())
    return value if isinstance(value, list) else [value] if isinstance(value, str) and value.strip() else []
