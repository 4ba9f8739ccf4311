"""What a text is found by: its words and its date."""

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


class Said(Protocol):
    """What can be found: a text, and when that was."""

    @property
    def content(self) -> str:
        """The text."""
        ...

    @property
    def occurred_at(self) -> datetime | None:
        """When it was said or happened."""
        ...


@dataclass(frozen=True, slots=True)
class Words:
    """Gives what messages and memories are found by; ``language`` is that of those that have none."""

    language: str

    def __call__(self, new: Said, language: str | None) -> list[str]:
        """Return the tokens."""
        return searchable_tokens(new.content, language or self.language, occurred_at=new.occurred_at)


def searchable_tokens(content: str, language: str, *, occurred_at: datetime | None = None) -> list[str]:
    """Return the tokens that BM25 indexes: those of the content and of its date in words and digits.

    The speaker is not among them: in a dialogue every turn is by or to somebody whom the question names.
    """
    text = content if occurred_at is None else f"{content}\n{date_words(occurred_at, language)}"
    return tokenize(text, language)


def date_words(moment: datetime, language: str) -> str:
    """Return a date in the forms in which questions name it."""
    if language.startswith(("zh", "ja")):
        return f"{moment.year}年{moment.month}月{moment.day}日 {moment.day}号"
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"
