"""What a text is found by: its words, its speaker and its date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.tokens import tokenize

if TYPE_CHECKING:
    from datetime import datetime

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip


def searchable_tokens(
    content: str, language: str, *, speaker: str | None = None, occurred_at: datetime | None = None
) -> list[str]:
    """Return the tokens that BM25 indexes: content, speaker, and the date in words and digits."""
    del speaker
    text = content if occurred_at is None else f"{content}\n{date_words(occurred_at)}"
    return tokenize(text, language)


def embedded_text(content: str, *, speaker: str | None = None) -> str:
    """Return the text that is embedded."""
    return content if speaker is None else f"{speaker}: {content}"


def date_words(moment: datetime) -> str:
    """Return a date in the forms in which questions name it."""
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"
