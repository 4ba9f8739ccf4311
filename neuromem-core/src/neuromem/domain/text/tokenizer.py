"""Tokens for BM25, made by the same code for texts and for questions, so that no punctuation can break a query.

Text is normalized (NFKC), case-folded, stemmed by Snowball and freed of stop words, as the user's language asks.
Scripts without spaces between words (Chinese, Japanese, Thai, ...) and Korean become single characters and pairs of
neighboring characters. Compounds such as ``alice@example.org``, ``3.11.7``, ``snake_case`` or ``camelCase`` give the
whole and its parts; a symbol that stands for itself (emoji, currency, ``C++``, ``C#``) is kept.

Why not PostgreSQL or a segmenter: ``to_tsvector`` makes one lexeme of a whole Chinese sentence. In the experiment that
decided this, it ranked the right text first for 4 of 17 questions in mixed languages, ``pg_trgm`` for 13, jieba for 16
(109 MB, 1.3 s to load) and characters with pairs for 17, at some 20 microseconds a memory and without a dependency.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import snowballstemmer

from neuromem.domain.text.scripts import UNSPACED
from neuromem.domain.text.stopwords import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKENIZER = 2  # stored with every entry; raise it whenever the same text gives other tokens
MAX_TOKEN = 64  # longer tokens (keys, base64) are cut: nobody asks for them by their 65th character

SNOWBALL = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}


def tokenize(text: str, language: str = "en") -> list[str]:
    """Return the tokens of a text.

    Args:
        text: Any text.
        language: A language tag such as "en", "zh-TW" or "pt_BR"; only its first part counts. It chooses stemmer and
            stop words. A language without a stemmer is not stemmed.

    Returns:
        The tokens in the order of the text, each as often as it occurs, without stop words and at most `MAX_TOKEN`
        characters long. Empty for a text of punctuation or stop words alone.
    """
    return list(_tokens(text, _stemmer(language)))


def _tokens(text: str, stem: Callable[[str], str]) -> Iterator[str]:
    pieces, parts = _patterns()
    # A soft hyphen is no part of a word, and the Turkish capital İ is an I.
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "").replace("\u0130", "I")
    for match in pieces.finditer(text):
        piece = match.group()
        if match.lastgroup == "unspaced":
            yield from piece
            yield from (piece[i : i + 2] for i in range(len(piece) - 1))
        elif match.lastgroup == "word":
            words = parts.findall(piece)
            if len(words) > 1 or len(words[0]) != len(piece):
                yield piece.casefold()[:MAX_TOKEN]
            for word in words:
                if token := stem(word.casefold()[:MAX_TOKEN]):
                    yield token
                if not (word.islower() or word.istitle()):
                    yield from filter(None, (stem(hump.casefold()) for hump in _humps(word)))
        elif unicodedata.category(piece) in {"So", "Sc"}:
            yield piece


def _humps(word: str) -> list[str]:
    """Return the words that an identifier in camel case is made of; none for any other word."""
    if len(word) > MAX_TOKEN or not _CAMEL.search(word):
        return []
    return [hump for hump in _HUMP.findall(word) if len(hump) > 1]


_CAMEL = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]{2}")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds the pieces of a text, and the words of a compound.

    ``\\w`` leaves out the marks that Indic scripts write vowels with; they belong to the word they stand in.
    """
    letter = rf"[^\W_{UNSPACED}]"
    word = rf"{letter}(?:{letter}|[{_marks()}])*"
    words = rf"{word}(?:['’]{word})*"
    pieces = (
        rf"(?P<unspaced>[{UNSPACED}]+)"
        rf"|(?P<word>{words}(?:[._@:/+&-]+{words})*(?:\+\+|\#(?!\w))?)"
        r"|(?P<sign>[^\w\s])"
    )
    return re.compile(pieces), re.compile(words)


def _marks() -> str:
    """Return the ranges of all combining marks, as the inside of a character class."""
    ranges: list[list[int]] = []
    for code in range(0x300, 0x20000):  # the planes behind hold ideographs
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)


@cache
def _stemmer(language: str) -> Callable[[str], str]:
    """Return the function that stems a word of a language; it gives an empty string for a stop word."""
    base = language.replace("_", "-").partition("-")[0].casefold()
    stop = STOP_WORDS.get(base, frozenset())
    algorithm = SNOWBALL.get(base)
    if algorithm is None:
        return lambda word: "" if word in stop else word
    snowball = snowballstemmer.stemmer(algorithm)

    @lru_cache(maxsize=50_000)
    def stem(word: str) -> str:
        plain = word.replace("’", "'")
        if plain in stop:
            return ""
        return str(snowball.stemWord(plain)) or plain

    return stem
