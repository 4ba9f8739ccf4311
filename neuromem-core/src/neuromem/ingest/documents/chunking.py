"""Cuts a text into overlapping passages of some hundred tokens, at the ends of sentences or lines."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from neuromem.domain.text.token_estimate import average_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where prose may be cut: after a sentence, at a blank line, before an item of a list or a heading. The looking back
# and the possessive quantifiers keep this linear, whatever the text.
PROSE = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+\s++(?![a-z])"
    r"|(?<![。！？；])[。！？；]++[”’』」）]*+\s*+"
    r"|\n[ \t]*+\n\s*+"
    r"|\n[ \t]*+(?=[-*•#|>]|\d{1,3}[.)])"
)
LINES = re.compile(r"\n++")
_WORD = re.compile(r"\S{1,64}\s*+|\s++")

Unit = tuple[int, int, float]  # start, end, tokens


def passage_ranges(text: str, *, tokens: int, overlap: int, by_line: bool) -> list[tuple[int, int]]:
    """Return where passages begin and end; together they cover the text without a gap.

    Args:
        text: The text; blank text has no passages.
        tokens: About how many tokens a passage has at most, by `average_tokens`.
        overlap: About how many tokens a passage repeats from the one before, at most.
        by_line: Cut at the ends of lines instead of sentences.

    Returns:
        Start and end of each passage, in characters.
    """
    if not text.strip():
        return []
    passages: list[tuple[int, int]] = []
    held: deque[Unit] = deque()
    weight = 0.0
    fresh = False  # whether the window has a unit that is in no passage yet
    for unit in _units(text, tokens, LINES if by_line else PROSE):
        if fresh and weight + unit[2] > tokens:
            passages.append((held[0][0], held[-1][1]))
            fresh = False
            while held and (weight > overlap or weight + unit[2] > tokens):
                weight -= held.popleft()[2]
        held.append(unit)
        weight += unit[2]
        fresh = True
    passages.append((held[0][0], held[-1][1]))
    return passages


def _units(text: str, most: int, borders: re.Pattern[str]) -> Iterator[Unit]:
    """Return sentences; what is too long for a passage comes line by line, and word by word where that is too long."""
    for start, end in _between(text, 0, len(text), borders):
        weight = average_tokens(text[start:end])
        if weight <= most:
            yield start, end, weight
            continue
        for line in _between(text, start, end, LINES):
            weight = average_tokens(text[line[0] : line[1]])
            if weight <= most:
                yield *line, weight
            else:
                yield from _words(text, *line, most / 4)


def _between(text: str, start: int, end: int, borders: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    for border in borders.finditer(text, start, end):
        if border.end() > start:
            yield start, border.end()
            start = border.end()
    if start < end:
        yield start, end


def _words(text: str, start: int, end: int, most: float) -> Iterator[Unit]:
    """Return runs of whole words of about ``most`` tokens."""
    weight = 0.0
    for word in _WORD.finditer(text, start, end):
        weight += average_tokens(word.group())
        if weight >= most or word.end() == end:
            yield start, word.end(), weight
            start, weight = word.end(), 0.0
