"""Finds the day on which a sentence says that something happened, relative to the day on which it is said."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from dateparser import DateDataParser

if TYPE_CHECKING:
    from datetime import datetime

MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|"
    "Sep|Sept|Oct|Nov|Dec"
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NUMBERS = {
    "a": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "ten": 10,
}
_SAID = re.compile(
    r"\?|？|\blike (?:just |only )?yesterday|\b(?:if|birthday|born|would|wish|should|every)\b|生日|如果",
    re.IGNORECASE,
)
_PERSON = re.compile(r"\b(?:I|we|my|our|me|us)\b|^(?:the|on|tomorrow|yesterday|two|three)\b", re.IGNORECASE)
_FULL = re.compile(
    rf"\b(\d{{4}}-\d{{2}}-\d{{2}}|\d{{1,2}}(?:st|nd|rd|th)? (?:{MONTHS})(?:,? \d{{4}})?"
    rf"|(?:{MONTHS}) \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?)\b"
)
_FUTURE = re.compile(
    r"\b(?:will|going to|leaves?|have an?|tomorrow|starts?|next|is|are|'ll)\b", re.IGNORECASE
)
_AGO = re.compile(rf"\b({'|'.join(NUMBERS)}|\d{{1,3}}) (day|week)s? ago\b", re.IGNORECASE)
_NEAR = re.compile(r"\b(yesterday|last night|tomorrow|the day before yesterday)\b", re.IGNORECASE)
_WEEKDAY = re.compile(rf"\b(last|next|on) ({'|'.join(DAYS)})\b", re.IGNORECASE)
_ZH = {"大前天": -3, "前天": -2, "昨天": -1, "昨晚": -1, "今天": 0, "明天": 1, "后天": 2}
_ZH_NEAR = re.compile("我.*?(大前天|前天|昨天|昨晚|明天|后天)|^(大前天|前天|昨天|昨晚|明天|后天)我")


def day_in(text: str, said: datetime, *, chinese: bool) -> str | None:
    """Return the day as ``2023-05-07``; None when there is none, or more than one."""
    if _SAID.search(text):
        return None
    if chinese:
        match = _ZH_NEAR.search(text)
        days = {_ZH[match[1] or match[2]]} if match else set()
        return _only({said + timedelta(days=n) for n in days})
    if not _PERSON.search(text):
        return None
    found = {said + timedelta(days=_near(match[1].lower())) for match in _NEAR.finditer(text)}
    found |= {_ago(match, said) for match in _AGO.finditer(text)}
    found |= {day for match in _WEEKDAY.finditer(text) if (day := _weekday(match, said, text)) is not None}
    found |= {day for match in _FULL.finditer(text) if (day := _full(match[1], said, text)) is not None}
    return _only(found)


def _only(found: set[datetime]) -> str | None:
    days = {moment.date().isoformat() for moment in found}
    return days.pop() if len(days) == 1 else None


def _near(word: str) -> int:
    return {"tomorrow": 1, "the day before yesterday": -2}.get(word, -1)


def _ago(match: re.Match[str], said: datetime) -> datetime:
    number = NUMBERS.get(match[1].lower()) or int(match[1])
    return said - timedelta(days=number * (7 if match[2].lower() == "week" else 1))


def _weekday(match: re.Match[str], said: datetime, text: str) -> datetime | None:
    """Resolve "last Friday" and "next Monday"; "on Friday" is the last one where something happened."""
    which, wanted = match[1].lower(), DAYS.index(match[2].lower())
    back = (said.weekday() - wanted) % 7 or 7
    if which == "last":
        return said - timedelta(days=back)
    if which == "next":
        return said + timedelta(days=(wanted - said.weekday()) % 7 or 7)
    return said - timedelta(days=back) if re.search(r"\b\w+(?:ed|ought|ent|ad|et|aw)\b", text) else None


def _full(text: str, said: datetime, whole: str) -> datetime | None:
    """Read a date; one without a year is the nearest in the direction in which the sentence looks."""
    prefer = "future" if _FUTURE.search(whole) else "past"
    if re.search(r"\d{4}", text):
        prefer = "current_period"
    parser = DateDataParser(
        languages=["en"],
        settings={
            "RELATIVE_BASE": said.replace(tzinfo=None),
            "PREFER_DATES_FROM": prefer,
            "REQUIRE_PARTS": ["day", "month"],
        },
    )
    found: datetime | None = parser.get_date_data(text).date_obj
    return found
