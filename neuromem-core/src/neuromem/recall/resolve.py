"""Reads a question: whom it names, and what it is about without the names."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from neuromem.domain.text.scripts import UNSPACED_SPEAKERS

if TYPE_CHECKING:
    from collections.abc import Sequence


def read(text: str, speakers: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return the speakers that a question names, and its text without the names of any speaker.

    Every turn of a conversation is by or to somebody of that name, so the name says nothing about which turn is
    meant; without it an embedding is about the matter alone. A question that is nothing but names stays as it is.
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
