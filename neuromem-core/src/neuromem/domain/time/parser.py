"""Finds the times that a text names, in English and Chinese, as spans on the calendar.

A span only makes recall prefer what happened in it. A wrong one costs more than a missing one, so words such as "may",
"march" and "spring" count as times only where the words around them say so.

The rules are kept by hand: general date parsers read times in words that name none, and return moments where a
question means a span ("last winter", "before the trip"). `english` and `chinese` hold a language's patterns, `calendar`
makes the spans, and this module holds the order of the rules and the words "since", "after", "before" and "until".
"""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING

from neuromem.domain.query import Span
from neuromem.domain.time import chinese, english

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

# More specific forms come first. Characters that one rule has matched are not matched by those after it.
RULES = tuple(
    (re.compile(pattern), handler)
    for pattern, handler in (
        *english.DATES,
        *english.UNITS,
        *english.DAYS,
        *chinese.RULES,
        *english.YEARS,
    )
)

YEAR = timedelta(days=365)
# "before lunch yesterday" is yesterday; "before the trip in spring" may be long before.
LONG = timedelta(days=27)
MAX_SPANS = 20  # times that are read in one text
MAX_DISTANCE = 80  # characters between a time and a "before" or "after" that belongs to it


def read_time_spans(text: str, now: datetime) -> tuple[Span, ...]:
    """Return the spans of time that a text names.

    Args:
        text: A question or a statement, in English or Chinese. Case, width and traditional characters do not matter.
        now: The moment that "yesterday" is relative to, with a time zone; days begin at midnight of that zone.

    Returns:
        One span for each time, at most `MAX_SPANS`, ordered by the rules that found them; none when the text names no
        time. A date that does not exist, such as 31 June, is left out.

    >>> from datetime import UTC, datetime
    >>> read_time_spans("in May 2023", datetime(2024, 1, 1, tzinfo=UTC))[0].start.isoformat()
    '2023-05-01T00:00:00+00:00'
    """
    return tuple(_spans(chinese.simplified(unicodedata.normalize("NFKC", text).casefold()), now))


def _spans(text: str, now: datetime) -> Iterator[Span]:
    taken: list[tuple[int, int]] = []
    for pattern, handler in RULES:
        for match in pattern.finditer(text):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            try:
                span = handler(match, now)
                bounded = _bounded(text, match, span, now)
            except (ValueError, LookupError, OverflowError):  # 31 June, the year 9999, 二三月: no such time
                continue
            taken.append(match.span())
            yield bounded
            if len(taken) == MAX_SPANS:
                return


def _bounded(text: str, match: re.Match[str], span: Span, now: datetime) -> Span:
    """Return the span that is meant when "since", "after", "before" or "until" belongs to a time.

    "Before May" is the year before it. Of "before the trip in spring" only the season is known, and the trip may have
    been at its end, so the season is part of the span.

    Args:
        text: The whole text, normalized.
        match: Where the time stands in it.
        span: What the time alone means.
        now: The moment at which "since" ends.
    """
    start, end = match.span()
    before, words, after = (
        text[max(0, start - MAX_DISTANCE) : start],
        match.group(),
        text[end : end + MAX_DISTANCE],
    )
    if _SINCE.search(before) or _SINCE_HERE.match(words) or _SINCE_THEN.match(after):
        return Span(span.start, max(now, span.end))
    if _UNTIL.search(before) or _UNTIL_HERE.match(words) or _UNTIL_THEN.match(after):
        return Span(span.start - YEAR, span.start)
    if span.end - span.start > LONG:
        if _AFTER_SOMETHING.search(before) or _SOMETHING_AFTER.match(after):
            return Span(span.start, max(now, span.end))
        if _BEFORE_SOMETHING.search(before) or _SOMETHING_BEFORE.match(after):
            return Span(span.start - YEAR, span.end)
    return span


_SINCE, _SINCE_HERE, _SINCE_THEN = (
    re.compile(r"\b(?:since|after|from)\s+(?:the\s+)?$"),
    re.compile(r"(?:since|after|from)\b"),
    re.compile(r"之后|以后|以来|开始|起|后(?![来天年面])"),
)
_UNTIL, _UNTIL_HERE, _UNTIL_THEN = (
    re.compile(r"\b(?:before|until|till|by)\s+(?:the\s+)?$"),
    re.compile(r"(?:before|until|till|by)\b"),
    re.compile(r"之前|以前|前(?![来天年面])"),
)
_AFTER_SOMETHING, _SOMETHING_AFTER = (
    re.compile(r"\b(?:since|after)\s+(?:[\w'’-]+\s+){1,5}$"),
    re.compile(r"[^\s,.;:?!，。；：？！]{1,10}?(?:之后|以后)"),
)
_BEFORE_SOMETHING, _SOMETHING_BEFORE = (
    re.compile(r"\b(?:before|until|till)\s+(?:[\w'’-]+\s+){1,5}$"),
    re.compile(r"[^\s,.;:?!，。；：？！]{1,10}?(?:之前|以前)"),
)
