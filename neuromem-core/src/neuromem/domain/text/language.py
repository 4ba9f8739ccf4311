"""The language of a text, told from its script and its most common words; no answer rather than a wrong one.

It is kept by hand because detectors guess wrong on messages of a few words ("OK", a name, a link), and memories would
then be extracted in a language that the user does not write.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from neuromem.domain.text import scripts
from neuromem.domain.text.stopwords import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "ar": "Arabic",
    "be": "Belarusian",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ka": "Georgian",
    "ko": "Korean",
    "lt": "Lithuanian",
    "ms": "Malay",
    "ne": "Nepali",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sr": "Serbian",
    "sv": "Swedish",
    "ta": "Tamil",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "yi": "Yiddish",
    "zh": "Chinese",
}

# Each script with its letters and the weight of one of them. A Chinese character says as much as three letters:
# "我在 Google 工作" is Chinese.
_SCRIPTS: tuple[tuple[str, re.Pattern[str], int], ...] = (
    ("kana", re.compile(f"[{scripts.JAPANESE}]"), 3),
    ("han", re.compile(f"[{scripts.HAN}]"), 3),
    ("ko", re.compile(f"[{scripts.KOREAN}]"), 3),
    ("th", re.compile(f"[{scripts.THAI}]"), 1),
    ("el", re.compile(f"[{scripts.GREEK}]"), 1),
    ("he", re.compile(f"[{scripts.HEBREW}]"), 1),
    ("hy", re.compile(f"[{scripts.ARMENIAN}]"), 1),
    ("ka", re.compile(f"[{scripts.GEORGIAN}]"), 1),
    ("cyrillic", re.compile(f"[{scripts.CYRILLIC}]"), 1),
    ("arabic", re.compile(f"[{scripts.ARABIC}]"), 1),
    ("latin", re.compile(f"[{scripts.LATIN}]"), 1),
)
_ONLY_RUSSIAN, _ONLY_UKRAINIAN = re.compile("[ыэёЫЭЁ]"), re.compile("[іїєґІЇЄҐ]")
_NOT_ARABIC = re.compile("[پچژگ]")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
MAX_CHARACTERS = 4_000  # of the beginning of a text; the rest is not examined
_MIN_COMMON_WORDS = 3  # different ones that a text must have for its language to be told from them


def language_with_name(code: str) -> str:
    """Return a language tag with the English name of its language in front, where that is known.

    >>> language_with_name("zh-TW"), language_with_name("tlh")
    ('Chinese (zh-TW)', 'tlh')
    """
    name = NAMES.get(code.partition("-")[0].lower())
    return f"{name} ({code})" if name else code


def detect_language(text: str) -> str | None:
    """Return the language of a text.

    Args:
        text: Any text; its first `MAX_CHARACTERS` characters are examined.

    Returns:
        The code of a language, such as "en" or "zh", or None where neither script nor words decide: short texts, and
        languages that share a script and are not told apart. Languages written in Latin letters are recognized where
        `STOP_WORDS` has their words.

    >>> [detect_language(text) for text in ("我在 Google 当工程师", "I work at Google as an engineer", "OK")]
    ['zh', 'en', None]
    """
    text = text[:MAX_CHARACTERS]
    if text.isascii():
        return _by_words(text)
    text = unicodedata.normalize("NFKC", text)
    found = {script: weight * len(signs.findall(text)) for script, signs, weight in _SCRIPTS}
    if found["kana"] * 10 > found["han"] and found["kana"]:  # Japanese is written in both
        found["ja"] = found.pop("kana") + found.pop("han")
    script = max(found, key=lambda name: found[name])
    if not found[script]:
        return None
    match script:
        case "han":
            return "zh"
        case "kana":
            return "ja"
        case "latin":
            return _by_words(text)
        case "cyrillic":
            russian, ukrainian = (bool(p.search(text)) for p in (_ONLY_RUSSIAN, _ONLY_UKRAINIAN))
            return None if russian == ukrainian else "ru" if russian else "uk"
        case "arabic":
            return None if _NOT_ARABIC.search(text) else "ar"
    return script


def _by_words(text: str) -> str | None:
    """Return the language whose common words a text has at least twice as many of as of any other's."""
    words = set(_WORD.findall(text.casefold().replace("’", "'")))
    counts = sorted(
        ((len(words & common), language) for language, common in STOP_WORDS.items()), reverse=True
    )
    (most, language), (next_most, _) = counts[:2]
    return language if most >= _MIN_COMMON_WORDS and most >= 2 * next_most else None
