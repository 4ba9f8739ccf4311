"""Resolves what a question says, before anything is searched: the times and speakers that it names, and its topic."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

from neuromem.domain.text.scripts import UNSPACED_SPEAKERS
from neuromem.domain.time import parser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import Query


def with_times(query: Query) -> Query:
    """Return the question with the times that it names, as they are meant at ``query.now``."""
    return replace(query, spans=parser.read_time_spans(query.text, query.now))


def with_speakers(query: Query, speakers: Sequence[str]) -> Query:
    """Return the question with the speakers that it names, and with its topic: its text without their names.

    Args:
        query: The question.
        speakers: The names that messages of the user carry.
    """
    named, topic = named_speakers(query.text, speakers)
    return replace(query, named=named, topic=topic)


def named_speakers(text: str, speakers: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return the speakers that a text names, and the text without the names of any speaker.

    Every turn of a conversation is by or to somebody of that name, so the name says nothing about which turn is
    meant; without it an embedding is about the matter alone. A text that is nothing but names stays as it is.
    """
    named = tuple(name for name in speakers if (pattern := _pattern(name)) and pattern.search(_plain(text)))
    topic = text
    for name in speakers:
        if (pattern := _pattern(name)) is not None:
            topic = pattern.sub(" ", topic)
    topic = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(topic.split()))
    return named, topic if re.search(r"\w", topic) else text


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _pattern(name: str) -> re.Pattern[str] | None:
    """Return what finds a name as whole words, its possessive included; None for a name without letters."""
    words = [re.escape(word) for word in _plain(name).split()]
    if not words or not re.search(r"\w", name):
        return None
    # Chinese and Japanese names stand among other characters without a border.
    wide = re.search(f"[{UNSPACED_SPEAKERS}]", name) is not None
    edge = "" if wide else r"\b"
    return re.compile(edge + r"\s+".join(words) + rf"(?:['’]s)?{edge}", re.IGNORECASE)
