"""Reads the time that a question speaks of, in English and Chinese, as spans on the calendar.

What is read here only ever becomes a soft preference, so it is precise about form and careful about meaning: "may",
"march" and "spring" count as times only where the words around them say so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from neuromem.domain.recall import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY = timedelta(days=1)
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "couple": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "few": 3, "several": 4,
    "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10,
    "几": 3, "半": 0.5,
}  # fmt: skip
UNITS = {
    "day": 1,
    "week": 7,
    "weekend": 7,
    "month": 30,
    "year": 365,
    "天": 1,
    "周": 7,
    "星期": 7,
    "礼拜": 7,
    "月": 30,
    "年": 365,
}


def read(text: str, now: datetime) -> tuple[Span, ...]:
    """Return the spans that a text names, relative to ``now`` where it does not say the year or the day.

    >>> read("in May 2023", datetime(2024, 1, 1, tzinfo=UTC))[0].start.isoformat()
    '2023-05-01T00:00:00+00:00'
    """
    return tuple(_spans(text.casefold(), now))


def _spans(text: str, now: datetime) -> Iterator[Span]:
    taken: list[tuple[int, int]] = []
    for pattern, handler in RULES:
        for match in pattern.finditer(text):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            try:
                span = handler(match, now)
            except (ValueError, OverflowError):  # 31 June, the year 9999: no such time
                continue
            if span is not None:
                taken.append(match.span())
                yield _bounded(text[: match.start()], match.group(), span, now)


def _bounded(before: str, words: str, span: Span, now: datetime) -> Span:
    """Widen a span that stands behind "since", "after", "before" or "until", or begins with one of them."""
    if _SINCE.search(before) or _SINCE_HERE.match(words):
        return Span(span.start, max(now, span.end))
    if _UNTIL.search(before) or _UNTIL_HERE.match(words):
        return Span(span.start - timedelta(days=365), span.start)
    return span


_SINCE, _SINCE_HERE = (
    re.compile(r"\b(?:since|after|from)\s+(?:the\s+)?$"),
    re.compile(r"(?:since|after|from)\b"),
)
_UNTIL, _UNTIL_HERE = (
    re.compile(r"\b(?:before|until|by)\s+(?:the\s+)?$"),
    re.compile(r"(?:before|until|by)\b"),
)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _days(start: datetime, days: float) -> Span:
    return Span(start, start + timedelta(days=days))


def _month(year: int, month: int, now: datetime) -> Span:
    start = datetime(year, month, 1, tzinfo=now.tzinfo or UTC)
    return Span(start, (start + timedelta(days=32)).replace(day=1))


def _year(year: int, now: datetime) -> Span:
    zone = now.tzinfo or UTC
    return Span(datetime(year, 1, 1, tzinfo=zone), datetime(year + 1, 1, 1, tzinfo=zone))


def _season(month: int, year: int, now: datetime) -> Span:
    """Return a northern season; a winter begins in December of its year."""
    start = datetime(year, month, 1, tzinfo=now.tzinfo or UTC)
    return Span(start, (start + timedelta(days=95)).replace(day=1))


def _last_with(month: int, now: datetime) -> int:
    """Return the year of the last such month that has begun."""
    return now.year if month <= now.month else now.year - 1


def _number(text: str) -> float:
    if text.isdigit():
        return int(text)
    if text in NUMBERS:
        return NUMBERS[text]
    tens, _, ones = text.partition("十")  # 十一, 二十, 二十三
    if "十" not in text:
        raise ValueError(text)
    return (NUMBERS[tens] if tens else 1) * 10 + (NUMBERS[ones] if ones else 0)


def _relative(unit: str, step: int, now: datetime) -> Span:
    """Return the whole calendar unit that lies ``step`` units from the one of ``now``."""
    today = _midnight(now)
    if unit in ("week", "周", "星期", "礼拜"):
        return _days(today - timedelta(days=today.weekday()) + timedelta(weeks=step), 7)
    if unit in ("weekend", "周末"):
        return _days(today - timedelta(days=today.weekday() - 5) + timedelta(weeks=step), 2)
    if unit in ("month", "月"):
        months = now.year * 12 + now.month - 1 + step
        return _month(months // 12, months % 12 + 1, now)
    return _year(now.year + step, now)


def _ago(match: re.Match[str], now: datetime) -> Span:
    size = UNITS[match["unit"]]
    middle = _midnight(now) - timedelta(days=_number(match["n"]) * size)
    return Span(middle - timedelta(days=size // 2), middle + timedelta(days=size // 2 + 1))


def _past(match: re.Match[str], now: datetime) -> Span:
    return Span(_midnight(now) - timedelta(days=_number(match["n"]) * UNITS[match["unit"]]), now)


def _date(match: re.Match[str], now: datetime) -> Span:
    parts = match.groupdict()
    month_text = parts.get("month")
    month = int(month_text) if month_text and month_text.isdigit() else _month_number(month_text or "")
    year = int(parts["year"]) if parts.get("year") else _last_with(month, now)
    if parts.get("day"):
        return _days(datetime(year, month, int(parts["day"]), tzinfo=now.tzinfo or UTC), 1)
    return _month(year, month, now)


def _month_number(text: str) -> int:
    return next(i for i, month in enumerate(MONTHS, start=1) if month.startswith(text[:3]))


def _which_month(match: re.Match[str], now: datetime) -> Span:
    month = _month_number(match["month"])
    year = _last_with(month, now)
    return _month(year - (1 if match["which"] == "last" and month == now.month else 0), month, now)


def _which_unit(match: re.Match[str], now: datetime) -> Span:
    step = {"last": -1, "past": -1, "previous": -1, "this": 0, "current": 0, "next": 1, "coming": 1}
    return _relative(match["unit"], step[match["which"]], now)


def _which_weekday(match: re.Match[str], now: datetime) -> Span:
    back = (now.weekday() - WEEKDAYS.index(match["weekday"])) % 7 or 7
    return _days(_midnight(now) - timedelta(days=back), 1)


def _which_season(match: re.Match[str], now: datetime) -> Span:
    month = SEASONS[match["season"]]
    if match["year"]:
        return _season(month, int(match["year"]), now)
    return _season(month, _last_with(month, now), now)


def _named_day(match: re.Match[str], now: datetime) -> Span:
    step = {
        "the day before yesterday": -2, "yesterday": -1, "last night": -1, "today": 0, "tonight": 0, "tomorrow": 1,
        "前天": -2, "昨天": -1, "昨晚": -1, "今天": 0, "今晚": 0, "明天": 1, "后天": 2, "大前天": -3,
    }  # fmt: skip
    return _days(_midnight(now) + timedelta(days=step[match.group()]), 1)


def _recently(match: re.Match[str], now: datetime) -> Span:
    del match
    return Span(now - timedelta(days=30), now + DAY)


def _chinese_year(text: str | None, now: datetime) -> int | None:
    if not text:
        return None
    step = {"前年": -2, "去年": -1, "今年": 0, "明年": 1}
    return now.year + step[text] if text in step else int(text.rstrip("年"))


def _chinese_date(match: re.Match[str], now: datetime) -> Span:
    month = int(_number(match["month"]))
    year = _chinese_year(match["year"], now) or _last_with(month, now)
    if match["day"]:
        return _days(datetime(year, month, int(_number(match["day"])), tzinfo=now.tzinfo or UTC), 1)
    return _month(year, month, now)


def _chinese_season(match: re.Match[str], now: datetime) -> Span:
    month = {"春": 3, "夏": 6, "秋": 9, "冬": 12}[match["season"]]
    return _season(month, _chinese_year(match["year"], now) or _last_with(month, now), now)


def _chinese_unit(match: re.Match[str], now: datetime) -> Span:
    step = -1 if match["which"].startswith("上") else 1 if match["which"].startswith("下") else 0
    if match["which"].startswith("上上"):
        step = -2
    span = _relative(match["unit"], step, now)
    day = match.groupdict().get("day")
    if day and match["unit"] != "月":
        return _days(span.start + timedelta(days="一二三四五六日天".index(day) if day != "天" else 6), 1)
    return span


_N = r"(?P<n>\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|a\s+few|few|several|couple)"
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_YEAR = r"(?P<year>(?:19|20)\d{2})"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_AFTER = (
    r"(?=\s*(?:[,.;:?!)]|$)|\s+(?:of|when|before|after|did|do|was|were|with|and|or|at|on|in|to|for|i|we|he|she|they"
    r"|my|our|his|her)\b)"
)
_HAN = r"(?:\d{1,2}|[一二三四五六七八九十]{1,3})"
_HAN_YEAR = r"(?P<year>(?:19|20)\d{2}年|前年|去年|今年|明年)?的?"

# More telling forms come first; what one has taken, the next ones leave alone.
RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], datetime], Span | None]], ...] = tuple(
    (re.compile(pattern), handler)
    for pattern, handler in (
        (r"\b(?P<year>\d{4})-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?\b", _date),
        (rf"\b{_DAY}\s+(?:of\s+)?{_MONTH},?\s+{_YEAR}\b", _date),
        (rf"\b{_MONTH}\s+{_DAY}(?:,|\s)\s*{_YEAR}\b", _date),
        (rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}\b", _date),
        (rf"\b{_DAY}\s+(?:of\s+)?{_MONTH}", _date),
        (rf"\b{_MONTH}\s+{_DAY}\b(?!\s*%)", _date),
        (
            rf"\b(?P<which>last|this|in|during|since|until|before|after|early|late|mid)\s+{_MONTH}{_AFTER}",
            _which_month,
        ),
        (
            r"\b(?:in|last|this|during|since|before|after|over|early|late)\s+(?:the\s+)?"
            rf"(?P<season>spring|summer|autumn|fall|winter)(?:\s+(?:of\s+)?{_YEAR})?{_AFTER}",
            _which_season,
        ),
        (rf"\b(?P<season>spring|summer|autumn|fall|winter)\s+(?:of\s+)?{_YEAR}\b", _which_season),
        (
            rf"\b(?:in\s+|over\s+)?the\s+(?:last|past)\s+{_N}\s+(?:of\s+)?(?P<unit>day|week|month|year)s?\b",
            _past,
        ),
        (rf"\b{_N}\s+(?:of\s+)?(?P<unit>day|week|weekend|month|year)s?\s+ago\b", _ago),
        (
            r"\b(?P<which>last|past|previous|this|current|next|coming)\s+(?P<unit>weekend|week|month|year)\b",
            _which_unit,
        ),
        (rf"\b(?:last|on|this|past)\s+(?P<weekday>{'|'.join(WEEKDAYS)})\b", _which_weekday),
        (
            r"\bthe day before yesterday\b|\byesterday\b|\blast night\b|\btoday\b|\btonight\b|\btomorrow\b",
            _named_day,
        ),
        (r"\brecently\b|\blately\b|最近", _recently),
        (rf"{_HAN_YEAR}(?P<month>{_HAN})月份?(?:(?P<day>{_HAN})[日号])?", _chinese_date),
        (rf"{_HAN_YEAR}(?P<season>[春夏秋冬])[天季]", _chinese_season),
        (
            r"(?P<n>\d{1,3}|[一二两三四五六七八九十几半]{1,3})个?(?P<unit>天|周|星期|礼拜|月|年)(?:以)?前",
            _ago,
        ),
        (
            r"(?:过去|近)(?P<n>\d{1,3}|[一二两三四五六七八九十几]{1,3})个?(?P<unit>天|周|星期|礼拜|月|年)",
            _past,
        ),
        (
            r"(?P<which>上上|上|这|本|下)个?(?P<unit>周末|周|星期|礼拜|月)(?P<day>[一二三四五六日天])?",
            _chinese_unit,
        ),
        (r"大前天|前天|昨天|昨晚|今天|今晚|明天|后天", _named_day),
        (
            r"(?P<year>(?:19|20)\d{2}年|前年|去年|今年|明年)",
            lambda m, now: _year(_chinese_year(m["year"], now) or 0, now),
        ),
        (
            rf"\b(?:in|of|during|since|before|after|until|by)\s+{_YEAR}\b",
            lambda m, now: _year(int(m["year"]), now),
        ),
    )
)
