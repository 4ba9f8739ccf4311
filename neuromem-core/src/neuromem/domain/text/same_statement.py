"""When two texts state the same, in as far as their words alone can show it."""

from __future__ import annotations

import unicodedata

from neuromem.domain.text.tokenizer import tokenize


def statement_key(text: str) -> str:
    """Return what two texts have in common if they state the same.

    Case, width, the encoding of accents, white space and a final period or exclamation mark make no difference. A
    question mark does: a question states nothing. This key goes into the stored hash of a memory's content: a change
    of it needs a migration of those hashes.

    It is no key for names (`domain.names.name_key`): a name's punctuation belongs to it ("Yahoo!").
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".!。！ ")


def words_of(text: str, language: str) -> frozenset[str]:
    """Return the words of a text as they are searched for in a language, each once."""
    return frozenset(tokenize(text, language))


def word_overlap(words: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of all words of two texts that both have (Jaccard index), from 0 to 1.

    Two wordings of one statement overlap, but so do statements about different things: it decides only between
    statements about the same messages.
    """
    return len(words & other) / len(words | other) if words and other else 0.0
