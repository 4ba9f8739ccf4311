"""Reads the time that a question speaks of, in English and Chinese, as spans on the calendar.

What is read here only ever becomes a soft preference, so it is precise about form and careful about meaning: "may",
"march" and "spring" count as times only where the words around them say so.
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

# More telling forms come first; what one has taken, the next ones leave alone.
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
MOST = 20  # times that one text may name
NEAR = 80  # characters in which a "before" belongs to a time


def read(text: str, now: datetime) -> tuple[Span, ...]:
    """Return the spans that a text names, relative to ``now`` where it does not say the year or the day.

    Days begin where they begin in the time zone of ``now``.

    >>> from datetime import UTC, datetime
    >>> read("in May 2023", datetime(2024, 1, 1, tzinfo=UTC))[0].start.isoformat()
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
            if len(taken) == MOST:
                return


def _bounded(text: str, match: re.Match[str], span: Span, now: datetime) -> Span:
    """Widen a span that stands with "since", "after", "before" or "until".

    Of "before the trip in spring" only the season is known, so the trip may have been at its end.
    """
    start, end = match.span()
    before, words, after = text[max(0, start - NEAR) : start], match.group(), text[end : end + NEAR]
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
