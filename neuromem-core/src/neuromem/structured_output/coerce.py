"""Coerces the values of a model's reply: texts, lists, numbers and dates, in the forms in which models write them.

The annotated types at the end are for the fields of reply models. A value that cannot be read becomes None (or is left
out of its list) and is counted in the validation context under ``dropped``; only `Text` makes its item invalid. Each
type also says what it is in the JSON schema that the model is sent.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from neuromem.domain.time import parser

MAX_TEXT = 4_000
"""Characters of one text."""
MAX_SHORT_TEXT = 200
"""Characters of a name, a category, an entry of a list."""
NO_VALUE = frozenset({"null", "none", "n/a", "unknown", "无", "未知"})

_NUMBER_WORDS = {
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
_LEVELS = {
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
_POLARITIES = {
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
_CHINESE_NUMBER = re.compile(r"(百分之)?([一二三四五六七八九]?)(十?)([一二三四五六七八九]?)(分|成)?")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_DATE = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?")
_DATE_FORMATS = (
    "%B %d, %Y",
    "%d %B %Y",
    "%d %B, %Y",
    "%b %d, %Y",
    "%d %b %Y",
    "%B %Y",
    "%Y年%m月%d日",
    "%Y年%m月",
)
# Words that name no single day, or only a bound of a span.
_NO_SINGLE_DAY = re.compile(
    r"recent|lately|\b(since|until|before|after|from|by|past)\b|最近|过去|近|以来|之后|之前", re.IGNORECASE
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _count_dropped(info: ValidationInfo) -> None:
    if info.context is not None:
        info.context["dropped"][f"{info.field_name} of no use"] += 1


def _text(value: object) -> object:
    """Return a text on one line, without characters that cannot be stored."""
    if isinstance(value, str):
        return " ".join(_UNSTORABLE.sub("", value).split())
    return value


def unwrap_name(value: object) -> object:
    """Return the value itself, the only element of a list, or the name of an object that has one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.get("name", value.get("id")) if isinstance(value, dict) else value


def _optional_text(value: object, info: ValidationInfo) -> str | None:
    text = _text(unwrap_name(value))
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = str(text)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > MAX_SHORT_TEXT:
        _count_dropped(info)
        return None
    return None if text.lower() in NO_VALUE else text


def _text_list(value: object, info: ValidationInfo) -> tuple[str, ...]:
    """Read a list of texts; also one text with separators, and objects that have a name."""
    if value is None or value == "":
        return ()
    items = value if isinstance(value, list) else [value]
    if isinstance(value, str):
        items = re.split(r"\s*[,;、，；]\s*", value)
    texts = []
    for item in items:
        text = _optional_text(item, info)
        if text is not None:
            texts.append(text)
    return tuple(dict.fromkeys(texts))


def _number(value: object, info: ValidationInfo, low: float, high: float) -> float | None:
    """Read a number, also written as a word, a share of ten or a percentage, and clamp it to the range."""
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
        if space and first in _NUMBER_WORDS:  # eight out of ten
            text = f"{int(_NUMBER_WORDS[first])} {rest}"
        if text in _NUMBER_WORDS:
            number = _NUMBER_WORDS[text]
        elif text in _LEVELS:
            number = _LEVELS[text] * high
        elif low < 0 and text in _POLARITIES:
            number = _POLARITIES[text]
        elif (found := _chinese_number(text, high)) is not None:
            number = found
        elif (match := _NUMBER.match(text)) is not None:
            number = float(match[0])
            rest = text[match.end() :].strip()
            rest = " ".join(
                str(int(_NUMBER_WORDS[word])) if word in _NUMBER_WORDS else word for word in rest.split()
            )
            if rest.startswith("%"):
                number *= high / 100
            elif (whole := re.match(r"(?:/|out of)\s*(\d+)", rest)) and int(whole[1]):
                number *= high / int(whole[1])
    if number is None or not math.isfinite(number):
        _count_dropped(info)
        return None
    return min(high, max(low, number))


def _chinese_number(text: str, high: float) -> float | None:
    """Read a number in Chinese characters: 八, 八分, 八十, 八成 and 百分之八十."""
    match = _CHINESE_NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3] or match[4]):
        return None
    tens, ones = _NUMBER_WORDS.get(match[2]), _NUMBER_WORDS.get(match[4], 0.0)
    if match[3]:
        number = (1.0 if tens is None else tens) * 10 + ones
    elif tens is not None and match[4]:  # two digits in a row are no number
        return None
    else:
        number = ones if tens is None else tens
    if match[1]:
        return number * high / 100
    return number * high / 10 if match[5] == "成" else number


def _zero_to_one(value: object, info: ValidationInfo) -> float | None:
    return _number(value, info, 0.0, 1.0)


def _minus_one_to_one(value: object, info: ValidationInfo) -> float | None:
    return _number(value, info, -1.0, 1.0)


def _one_to_ten(value: object, info: ValidationInfo) -> float | None:
    return _number(value, info, 1.0, 10.0)


def _optional_date(value: object, info: ValidationInfo) -> datetime | None:
    if value is None or value == "":
        return None
    spoken_at = (info.context or {}).get("spoken_at")
    now = spoken_at(info.data.get("sources", ())) if spoken_at is not None else datetime.now(UTC)
    found = parse_date(value, now) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        _count_dropped(info)
    return found


def parse_date(value: str | int, now: datetime) -> datetime | None:
    """Return a date that a model wrote, as exact as it was given.

    Args:
        value: The date: ISO 8601, a year or month, a usual English or Chinese form, or words ("yesterday").
        now: The time that words are relative to, in the speaker's time zone. A date without a zone is in this zone.

    Returns:
        The beginning of that moment, day, month or year in UTC; None when the value is no date.
    """
    text = str(value).strip()
    for parse in (_iso_date, _partial_date, _formatted_date):
        try:
            found = parse(text)
            if found is not None:
                return (found if found.tzinfo else found.replace(tzinfo=now.tzinfo)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return _relative_date(text, now)


def _relative_date(text: str, now: datetime) -> datetime | None:
    """Read a date in words, if they name one day, month or year."""
    if len(text) > 40 or _NO_SINGLE_DAY.search(text):
        return None
    spans = parser.read_time_spans(text, now)
    if len(spans) != 1:
        return None
    start, duration = spans[0].start, spans[0].end - spans[0].start
    if text.lower().endswith("ago") or text.endswith(
        "前"
    ):  # the middle of the span, because "ago" is approximate
        start += (duration - timedelta(days=1)) / 2
    return start.astimezone(UTC)


def _iso_date(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if len(text) >= 10 else None


def _partial_date(text: str) -> datetime | None:
    match = _DATE.fullmatch(text)
    return datetime(int(match[1]), int(match[2] or 1), int(match[3] or 1)) if match else None  # noqa: DTZ001


def _formatted_date(text: str) -> datetime | None:
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  the zone is that of the conversation
        except ValueError:
            continue
    return None


_OPTIONAL_STRING = WithJsonSchema({"type": ["string", "null"]})
_OPTIONAL_NUMBER = WithJsonSchema({"type": ["number", "null"]})
_STRING_LIST = WithJsonSchema({"type": "array", "items": {"type": "string"}})

Text = Annotated[str, BeforeValidator(_text)]
OptionalText = Annotated[str | None, BeforeValidator(_optional_text), _OPTIONAL_STRING]
TextList = Annotated[tuple[str, ...], BeforeValidator(_text_list), _STRING_LIST]
ZeroToOne = Annotated[float | None, BeforeValidator(_zero_to_one), _OPTIONAL_NUMBER]
MinusOneToOne = Annotated[float | None, BeforeValidator(_minus_one_to_one), _OPTIONAL_NUMBER]
OneToTen = Annotated[float | None, BeforeValidator(_one_to_ten), _OPTIONAL_NUMBER]
OptionalDate = Annotated[datetime | None, BeforeValidator(_optional_date), _OPTIONAL_STRING]

NotInSchema = Annotated[Any, SkipJsonSchema()]
"""Kept as it was parsed; the model is not asked for it."""


def clean_text(value: object, max_length: int = MAX_TEXT) -> str | None:
    """Return a text that can be stored, on one line; None when it is empty, longer than ``max_length`` or no text."""
    text = _text(value)
    return text if isinstance(text, str) and 0 < len(text) <= max_length else None
