"""Reads the values in a model's reply: texts, lists, numbers and dates, in the forms in which models write them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo

from neuromem.domain.time import parser

MAX_TEXT = 4_000
NOTHING = frozenset({"null", "none", "n/a", "unknown", "无", "未知"})

_WORDS = {
    "zero": 0.0,
    "零": 0.0,
    "one": 1.0,
    "two": 2.0,
    "three": 3.0,
    "four": 4.0,
    "five": 5.0,
    "six": 6.0,
    "seven": 7.0,
    "eight": 8.0,
    "nine": 9.0,
    "ten": 10.0,
    "一": 1.0,
    "二": 2.0,
    "三": 3.0,
    "四": 4.0,
    "五": 5.0,
    "六": 6.0,
    "七": 7.0,
    "八": 8.0,
    "九": 9.0,
    "十": 10.0,
}
_SHARES = {
    "none": 0.0,
    "very low": 0.1,
    "low": 0.25,
    "medium": 0.5,
    "moderate": 0.5,
    "high": 0.75,
    "very high": 0.95,
    "很低": 0.1,
    "低": 0.25,
    "较低": 0.35,
    "中": 0.5,
    "中等": 0.5,
    "一般": 0.5,
    "较高": 0.65,
    "高": 0.75,
    "很高": 0.95,
    "非常高": 0.95,
}
_FEELINGS = {
    "very negative": -0.9,
    "negative": -0.6,
    "neutral": 0.0,
    "mixed": 0.0,
    "positive": 0.6,
    "very positive": 0.9,
    "消极": -0.6,
    "负面": -0.6,
    "中性": 0.0,
    "中立": 0.0,
    "积极": 0.6,
    "正面": 0.6,
}
_HAN = re.compile(r"(百分之)?([一二三四五六七八九]?)(十?)([一二三四五六七八九]?)(分|成)?")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_DATE = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?")
_FORMS = ("%B %d, %Y", "%d %B %Y", "%d %B, %Y", "%b %d, %Y", "%d %b %Y", "%B %Y", "%Y年%m月%d日", "%Y年%m月")
# Words that name no day, or only where something begins or ends.
_VAGUE = re.compile(
    r"recent|lately|\b(since|until|before|after|from|by|past)\b|最近|过去|近|以来|之后|之前", re.IGNORECASE
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _drop(info: ValidationInfo, what: str) -> None:
    if info.context is not None:
        info.context["dropped"][f"{what} of no use"] += 1


def _text(value: object) -> object:
    if isinstance(value, str):
        return " ".join(_UNSTORABLE.sub("", value).split())
    return value


def plain(value: object) -> object:
    """Return the text of a value that may be an object with a name, or a list with one element."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.get("name", value.get("id")) if isinstance(value, dict) else value


def _short(value: object, info: ValidationInfo) -> str | None:
    text = _text(plain(value))
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = str(text)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > 200:
        _drop(info, str(info.field_name))
        return None
    return None if text.lower() in NOTHING else text


def _strings(value: object, info: ValidationInfo) -> tuple[str, ...]:
    """Read a list of strings where one belongs, be it a single string, or objects that have a name."""
    if value is None or value == "":
        return ()
    items = value if isinstance(value, list) else [value]
    if isinstance(value, str):
        items = re.split(r"\s*[,;、，；]\s*", value)
    texts = []
    for item in items:
        text = _short(item, info)
        if text is not None:
            texts.append(text)
    return tuple(dict.fromkeys(texts))


def _number(value: object, info: ValidationInfo, low: float, high: float) -> float | None:
    """Read a number, also as a word, a share of ten or a percentage; what lies outside is moved to the border."""
    if value is None or value == "":
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    number: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        text = value.strip().lower()
        first, space, rest = text.partition(" ")
        if space and first in _WORDS:  # eight out of ten
            text = f"{int(_WORDS[first])} {rest}"
        if text in _WORDS:
            number = _WORDS[text]
        elif text in _SHARES:
            number = _SHARES[text] * high
        elif low < 0 and text in _FEELINGS:
            number = _FEELINGS[text]
        elif (found := _han(text, high)) is not None:
            number = found
        elif (match := _NUMBER.match(text)) is not None:
            number = float(match[0])
            rest = text[match.end() :].strip()
            rest = " ".join(str(int(_WORDS[word])) if word in _WORDS else word for word in rest.split())
            if rest.startswith("%"):
                number *= high / 100
            elif (whole := re.match(r"(?:/|out of)\s*(\d+)", rest)) and int(whole[1]):
                number *= high / int(whole[1])
    if number is None or not math.isfinite(number):
        _drop(info, str(info.field_name))
        return None
    return min(high, max(low, number))


def _han(text: str, high: float) -> float | None:
    """Read 八, 八分, 八十, 八成 and 百分之八十."""
    match = _HAN.fullmatch(text)
    if match is None or not (match[2] or match[3] or match[4]):
        return None
    tens, ones = _WORDS.get(match[2]), _WORDS.get(match[4], 0.0)
    if match[3]:
        number = (1.0 if tens is None else tens) * 10 + ones
    elif tens is not None and match[4]:  # two digits in a row are no number
        return None
    else:
        number = ones if tens is None else tens
    if match[1]:
        return number * high / 100
    return number * high / 10 if match[5] == "成" else number


def _unit(value: object, info: ValidationInfo) -> float | None:
    return _number(value, info, 0.0, 1.0)


def _signed(value: object, info: ValidationInfo) -> float | None:
    return _number(value, info, -1.0, 1.0)


def _ten(value: object, info: ValidationInfo) -> float | None:
    return _number(value, info, 1.0, 10.0)


def _moment(value: object, info: ValidationInfo) -> datetime | None:
    if value is None or value == "":
        return None
    when = (info.context or {}).get("when")
    now = when(info.data.get("sources", ())) if when is not None else datetime.now(UTC)
    found = moment(value, now) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        _drop(info, str(info.field_name))
    return found


def moment(value: str | int, now: datetime) -> datetime | None:
    """Read a date, as exact as it was given, in UTC; None when it is none.

    ``now`` is when it was said, in the speaker's time: "yesterday" is the day before it.
    """
    text = str(value).strip()
    for read in (_iso, _partly, _formed):
        try:
            found = read(text)
            if found is not None:
                return (found if found.tzinfo else found.replace(tzinfo=now.tzinfo)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return _relative(text, now)


def _relative(text: str, now: datetime) -> datetime | None:
    """Read a date that a model left in words, if they name one day, month or year."""
    if len(text) > 40 or _VAGUE.search(text):
        return None
    spans = parser.read_time_spans(text, now)
    if len(spans) != 1:
        return None
    begins, lasts = spans[0].start, spans[0].end - spans[0].start
    if text.lower().endswith("ago") or text.endswith("前"):  # so long ago, give or take
        begins += (lasts - timedelta(days=1)) / 2
    return begins.astimezone(UTC)


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


Text = Annotated[str, BeforeValidator(_text)]
Short = Annotated[str | None, BeforeValidator(_short)]
Strings = Annotated[tuple[str, ...], BeforeValidator(_strings)]
Unit = Annotated[float | None, BeforeValidator(_unit)]
Signed = Annotated[float | None, BeforeValidator(_signed)]
Ten = Annotated[float | None, BeforeValidator(_ten)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]


def clean(value: object, most: int = MAX_TEXT) -> str | None:
    """Return a text that can be stored, on one line; None when nothing of it is left, or it is too long."""
    text = _text(value)
    return text if isinstance(text, str) and 0 < len(text) <= most else None
