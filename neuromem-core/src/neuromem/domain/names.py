"""How names are compared, and which names a text may contain."""

from __future__ import annotations

import re
import unicodedata

from neuromem.domain.text.scripts import UNSPACED_NAMES

_HAN = re.compile(f"[{UNSPACED_NAMES}]+")
_WORD = re.compile(rf"[^\W{UNSPACED_NAMES}]+")


def name_key(text: str) -> str:
    """Return the form in which names are compared: without case, width, accents' encoding and extra space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def names_in(text: str, *, words: int = 5, characters: int = 8, most: int = 2_000) -> list[str]:
    """Return the keys of all names that a text may contain: runs of words, and of Chinese characters.

    The list is cut to ``most`` keys, those that come first in the text.
    """
    key = name_key(text)
    found: dict[str, None] = {}
    starts = [match.start() for match in _WORD.finditer(key)]
    ends = [match.end() for match in _WORD.finditer(key)]
    for i, start in enumerate(starts):
        for j in range(i, min(i + words, len(ends))):
            run = key[start : ends[j]]
            found[run] = None
            space = key.find(" ", ends[j])
            found[key[start : len(key) if space < 0 else space]] = None  # "c++", "yahoo!"
    for match in _HAN.finditer(key):
        run = match.group()
        for i in range(len(run)):
            for size in range(1, min(characters, len(run) - i) + 1):
                found[run[i : i + size]] = None
        if len(found) > most:
            break
    return list(found)[:most]
