"""English times: patterns over lower-case text, each with the function that makes a span of a match.

A rule is a pattern and a function of the match and the present moment. It returns the span that the words mean and
raises `ValueError`, `LookupError` or `OverflowError` when they name no date that exists. `parser` tries `DATES`,
`UNITS`, `DAYS` and, after the Chinese rules, `YEARS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.time import calendar

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from datetime import datetime

    from neuromem.domain.query import Span

    Rule = tuple[str, Callable[[re.Match[str], datetime], Span]]

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
NUMBERS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "couple": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "few": 3,
    "several": 4,
}
SIZES = {"day": 1, "week": 7, "weekend": 7, "month": 30, "year": 365}
STEPS = {"last": -1, "past": -1, "previous": -1, "this": 0, "current": 0, "next": 1, "coming": 1}
NAMED = {
    "the day before yesterday": -2,
    "yesterday": -1,
    "last night": -1,
    "today": 0,
    "tonight": 0,
    "this morning": 0,
    "this afternoon": 0,
    "this evening": 0,
    "tomorrow": 1,
    "the day after tomorrow": 2,
}


def _number(text: str) -> int:
    return int(text) if text.isdigit() else NUMBERS[text.split()[-1]]  # "a few" are few


def _month(text: str) -> int:
    return MONTHS.index(text[:3]) + 1


def _date(match: re.Match[str], now: datetime) -> Span:
    parts = match.groupdict()
    month = int(parts["month"]) if parts["month"].isdigit() else _month(parts["month"])
    year = int(parts["year"]) if parts.get("year") else calendar.latest_year_of(month, now)
    return (
        calendar.date_span(year, month, int(parts["day"]), now)
        if parts.get("day")
        else calendar.month_span(year, month, now)
    )


def _which_month(match: re.Match[str], now: datetime) -> Span:
    month = _month(match["month"])
    year = calendar.latest_year_of(month, now)
    return calendar.month_span(year - (match["which"] == "last" and month == now.month), month, now)


def _which_season(match: re.Match[str], now: datetime) -> Span:
    first = SEASONS[match["season"]]
    if match["year"]:
        return calendar.season_span(first, int(match["year"]), now)
    which = match.groupdict().get("which")
    begun = calendar.season_span(first, calendar.latest_year_of(first, now), now)
    if which in ("next", "coming"):
        return calendar.season_span(first, begun.start.year + 1, now)
    if which == "this" and now >= begun.end:  # the one of this year, though it is still to come
        return calendar.season_span(first, now.year, now)
    if which == "last" and now < begun.end:
        return calendar.season_span(first, begun.start.year - 1, now)
    return begun


def _which_unit(match: re.Match[str], now: datetime) -> Span:
    step, unit = STEPS[match["which"]], match["unit"]
    if unit == "week":
        return calendar.week_span(step, now)
    if unit == "weekend":
        return calendar.weekend_span(step, now)
    return (
        calendar.month_span_from(step, now) if unit == "month" else calendar.year_span(now.year + step, now)
    )


_N = r"(?P<n>\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|a\s+few|few|several|couple)"
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_YEAR = r"(?P<year>(?:19|20)\d{2})"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_SEASON = r"(?P<season>spring|summer|autumn|fall|winter)"
_AFTER = (
    r"(?=\s*(?:[,.;:?!)]|$)|\s+(?:of|when|before|after|did|do|was|were|with|and|or|at|on|in|to|for|i|we|he|she|they"
    r"|my|our|his|her)\b)"
)
# "may 10 people come" and "march 20 miles" are no dates.
_VERB = (
    r"(?<!\bon )(?<!\bof )(?<!\bby )(?:may|mar(?:ch)?)\s+\d{1,2}\s+"
    r"(?!(?:of|when|at|in|and|or|i|we)\b)[a-z]"
)
_COUNTED = (
    r"(?!\s*(?:%|words?|people|persons|meters?|metres?|km|miles?|steps|dollars|euros|calories|pages|lines|rows|items"
    r"|users|hours|minutes|seconds|days|times|pieces|others)\b)"
)

DATES: tuple[Rule, ...] = (
    (r"\b(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})\b", _date),
    (r"\b(?P<year>\d{4})-(?P<month>\d{1,2})\b", _date),
    (rf"\b{_DAY}\s+(?:of\s+)?{_MONTH},?\s+{_YEAR}\b", _date),
    (rf"\b{_MONTH}\s+{_DAY}(?:,|\s)\s*{_YEAR}\b", _date),
    (rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}\b", _date),
    (rf"\b{_DAY}\s+(?:of\s+)?{_MONTH}", _date),
    (rf"\b(?!{_VERB}){_MONTH}\s+{_DAY}\b(?!\s*%)", _date),
    (
        rf"\b(?P<which>last|this|in|during|since|until|before|after|early|late|mid|end\s+of)[\s-]+{_MONTH}{_AFTER}",
        _which_month,
    ),
    (
        r"\b(?P<which>in|last|this|next|coming|during|since|before|after|over|early|late)\s+(?:the\s+)?"
        rf"{_SEASON}(?:\s+(?:of\s+)?{_YEAR})?{_AFTER}",
        _which_season,
    ),
    (rf"\b{_SEASON}\s+(?:of\s+)?{_YEAR}\b", _which_season),
)
UNITS: tuple[Rule, ...] = (
    (
        rf"\b(?:in\s+|over\s+)?the\s+(?:last|past)\s+{_N}\s+(?:of\s+)?(?P<unit>day|week|month|year)s?\b",
        lambda m, now: calendar.last_units(_number(m["n"]), SIZES[m["unit"]], now),
    ),
    (
        rf"\b{_N}\s+(?:of\s+)?(?P<unit>day|week|weekend|month|year)s?\s+ago\b",
        lambda m, now: calendar.span_ago(_number(m["n"]), SIZES[m["unit"]], now),
    ),
    (rf"\b(?P<which>{'|'.join(STEPS)})\s+(?P<unit>weekend|week|month|year)\b", _which_unit),
)
DAYS: tuple[Rule, ...] = (
    (
        rf"\b(?:last|on|this|past)\s+(?P<weekday>{'|'.join(WEEKDAYS)})\b",
        lambda m, now: calendar.weekday_before(WEEKDAYS.index(m["weekday"]), now),
    ),
    (rf"\b(?:{'|'.join(NAMED)})\b", lambda m, now: calendar.day_span(NAMED[m.group()], now)),
    (r"\brecently\b|\blately\b", lambda m, now: calendar.recent_span(now)),
)
YEARS: tuple[Rule, ...] = (
    (
        rf"\b(?:in|of|during|since|before|after|until|by)\s+{_YEAR}\b{_COUNTED}",
        lambda m, now: calendar.year_span(int(m["year"]), now),
    ),
)
