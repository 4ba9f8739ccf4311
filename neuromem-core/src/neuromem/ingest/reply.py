"""Reads what a model replied: tolerant of its form, strict about its content, item by item."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Literal

import json_repair
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo

LISTS = ("facts", "episodes", "relations")
KEYS = frozenset({*LISTS, "profile", "withdrawn", "nothing"})
MAX_TEXT = 4_000
MAX_REASON = 500

_WORDS = {
    "zero": 0.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0, "seven": 7.0,
    "eight": 8.0, "nine": 9.0, "ten": 10.0, "一": 1.0, "二": 2.0, "三": 3.0, "四": 4.0, "五": 5.0, "六": 6.0,
    "七": 7.0, "八": 8.0, "九": 9.0, "十": 10.0,
}  # fmt: skip
_SHARES = {
    "none": 0.0, "very low": 0.1, "low": 0.25, "medium": 0.5, "moderate": 0.5, "high": 0.75, "very high": 0.95,
    "低": 0.25, "中": 0.5, "高": 0.75, "很高": 0.95,
}  # fmt: skip
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_DATE = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?")
_FORMS = ("%B %d, %Y", "%d %B %Y", "%d %B, %Y", "%b %d, %Y", "%d %b %Y", "%B %Y", "%Y年%m月%d日", "%Y年%m月")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _drop(info: ValidationInfo, what: str) -> None:
    if info.context is not None:
        info.context["dropped"][f"{what} of no use"] += 1


def _text(value: object) -> object:
    if isinstance(value, str):
        return " ".join(_UNSTORABLE.sub("", value).split())
    return value


def _short(value: object, info: ValidationInfo) -> str | None:
    text = _text(value)
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = str(text)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > 200:
        _drop(info, str(info.field_name))
        return None
    return None if text.lower() in {"null", "none", "n/a", "unknown"} else text


def _strings(value: object, info: ValidationInfo) -> tuple[str, ...]:
    """Read a list of strings where one belongs, be it a single string, or objects that have a name."""
    if value is None or value == "":
        return ()
    items = value if isinstance(value, list) else [value]
    if isinstance(value, str):
        items = re.split(r"\s*[,;、，；]\s*", value)
    texts = []
    for item in items:
        named = item.get("name", item.get("id")) if isinstance(item, dict) else item
        text = _short(named, info)
        if text is not None:
            texts.append(text)
    return tuple(dict.fromkeys(texts))


def _number(value: object, info: ValidationInfo, low: float, high: float) -> float | None:
    """Read a number, also as a word, a share of ten or a percentage; what lies outside is moved to the border."""
    if value is None or value == "":
        return None
    number: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        text = value.strip().lower()
        if text in _WORDS:
            number = _WORDS[text]
        elif text in _SHARES:
            number = _SHARES[text] * high
        elif (match := _NUMBER.match(text)) is not None:
            number = float(match[0])
            rest = text[match.end() :].strip()
            if rest.startswith("%"):
                number *= high / 100
            elif (whole := re.match(r"(?:/|out of)\s*(\d+)", rest)) and int(whole[1]):
                number *= high / int(whole[1])
    if number is None or not math.isfinite(number):
        _drop(info, str(info.field_name))
        return None
    return min(high, max(low, number))


def _unit(value: object, info: ValidationInfo) -> float | None:
    return _number(value, info, 0.0, 1.0)


def _signed(value: object, info: ValidationInfo) -> float | None:
    return _number(value, info, -1.0, 1.0)


def _ten(value: object, info: ValidationInfo) -> float | None:
    return _number(value, info, 1.0, 10.0)


def _moment(value: object, info: ValidationInfo) -> datetime | None:
    if value is None or value == "":
        return None
    zone = (info.context or {}).get("zone", UTC)
    found = moment(value, zone) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        _drop(info, str(info.field_name))
    return found


def moment(value: str | int, zone: tzinfo) -> datetime | None:
    """Read an absolute date, as exact as it was given, in UTC; None when it is none."""
    text = str(value).strip()
    for read in (_iso, _partly, _formed):
        try:
            found = read(text)
            if found is not None:
                return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _iso(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if len(text) >= 10 else None


def _partly(text: str) -> datetime | None:
    match = _DATE.fullmatch(text)
    return datetime(int(match[1]), int(match[2] or 1), int(match[3] or 1)) if match else None  # noqa: DTZ001


def _formed(text: str) -> datetime | None:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  the zone is that of the conversation
        except ValueError:
            continue
    return None


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
    reason = _text(value.get("reason"))
    said = reason[:MAX_REASON] if isinstance(reason, str) and reason else None
    return {"id": str(value["id"]).strip(), "standing": standing, "reason": said}


Text = Annotated[str, BeforeValidator(_text)]
Short = Annotated[str | None, BeforeValidator(_short)]
Strings = Annotated[tuple[str, ...], BeforeValidator(_strings)]
Unit = Annotated[float | None, BeforeValidator(_unit)]
Signed = Annotated[float | None, BeforeValidator(_signed)]
Ten = Annotated[float | None, BeforeValidator(_ten)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]


class _Reading(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Pointer(_Reading):
    """How an item stands to one known memory."""

    id: str
    standing: Literal["repeats", "refines", "contradicts"]
    reason: str | None = None


class Item(_Reading):
    """What facts and episodes have in common."""

    content: Text
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

    date: Moment = None
    people: Strings = ()
    place: Short = None


class Relation(_Reading):
    """A relation between two named things."""

    subject: Text
    relation: Text
    object: Text
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
    "facts": Fact, "episodes": Episode, "relations": Relation, "withdrawn": Withdrawn,
}  # fmt: skip


def parse(
    text: str, keys: frozenset[str] = KEYS, *, bare: str = "facts", mark: str = "content"
) -> dict[str, Any] | None:
    """Return the JSON object in a reply, whatever surrounds or mars it; None when there is none of the kind.

    Of the kind is what has one of the ``keys``. A list of objects with a ``mark`` counts as the value of ``bare``.
    """
    if "{" not in text:
        return None
    value = json_repair.loads(text)
    if isinstance(value, list):  # prose with brackets, several objects, or the items alone
        objects = [item for item in value if isinstance(item, dict)]
        whole = [item for item in objects if keys & item.keys()]
        if whole:
            return max(whole, key=len)
        return {bare: objects} if any(mark in item for item in objects) else None
    for _ in range(3):
        if not isinstance(value, dict):
            return None
        if keys & value.keys():
            return value
        value = next((inner for inner in value.values() if isinstance(inner, dict)), None)
    return None


def read(value: dict[str, Any], zone: tzinfo) -> Reply:
    """Check a reply item by item: the good ones are kept, the others counted."""
    rejected: Counter[str] = Counter()
    context = {"zone": zone, "dropped": rejected}
    found: dict[str, list[BaseModel]] = {}
    for name, kind in KINDS.items():
        found[name] = []
        for raw in _list(value.get(name)):
            try:
                item = kind.model_validate({"content": raw} if isinstance(raw, str) else raw, context=context)
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
        nothing=str(_text(nothing))[:200] if isinstance(nothing, str) and nothing.strip() else None,
        rejected=dict(rejected),
    )


def _list(value: object) -> list[Any]:
    if isinstance(value, dict):  # one item, or items by number
        return [value] if {"content", "subject"} & value.keys() else list(value.values())
    return value if isinstance(value, list) else [value] if isinstance(value, str) and value.strip() else []


def clean(value: object, most: int = MAX_TEXT) -> str | None:
    """Return a text that can be stored, on one line; None when nothing of it is left, or it is too long."""
    text = _text(value)
    return text if isinstance(text, str) and 0 < len(text) <= most else None
