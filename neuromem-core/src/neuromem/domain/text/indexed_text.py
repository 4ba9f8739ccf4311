"""What of a message or memory BM25 indexes: the words of its text and of its date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from neuromem.domain.text.tokenizer import tokenize

if TYPE_CHECKING:
    from datetime import datetime

MONTHS = (
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
)


class DatedText(Protocol):
    """A text with a date: a message or a memory that is to be indexed."""

    @property
    def content(self) -> str:
        """The text."""
        ...

    @property
    def occurred_at(self) -> datetime | None:
        """When it was said or when it happened, if that is known."""
        ...


@dataclass(frozen=True, slots=True)
class EntryTokenizer:
    """Makes the BM25 tokens of messages and memories.

    Attributes:
        language: The language of those whose own is not known, as `settings.language`.
    """

    language: str

    def __call__(self, entry: DatedText, language: str | None) -> list[str]:
        """Return the tokens of an entry; ``language`` is its own, None when it is not known."""
        return searchable_tokens(entry.content, language or self.language, occurred_at=entry.occurred_at)


def searchable_tokens(content: str, language: str, *, occurred_at: datetime | None = None) -> list[str]:
    """Return the tokens that BM25 indexes: those of the content, and those of its date in words and digits.

    The name of the speaker is left out: in a dialogue every turn is by or to somebody whom the question names.

    Args:
        content: The text.
        language: Its language tag, see `tokenize`.
        occurred_at: Its date; None adds no tokens.
    """
    text = content if occurred_at is None else f"{content}\n{date_words(occurred_at, language)}"
    return tokenize(text, language)


def date_words(moment: datetime, language: str) -> str:
    """Return a date as questions write it: ``8 may 2023``, or ``2023年5月8日 8号`` in Chinese and Japanese."""
    if language.startswith(("zh", "ja")):
        return f"{moment.year}年{moment.month}月{moment.day}日 {moment.day}号"
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"
