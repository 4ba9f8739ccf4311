"""Which language a text is in, as far as its letters and its commonest words tell; better none than a wrong one."""

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

# A sign of a dense script says as much as a few letters: "我在 Google 工作" is Chinese.
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
MOST = 4_000  # characters that are looked at
_FEWEST = 3  # common words that a text of letters must have for its language to be told from them


def named(code: str) -> str:
    """Return a language tag with its name in front, where that is known.

    >>> named("zh-TW"), named("tlh")
    ('Chinese (zh-TW)', 'tlh')
    """
    name = NAMES.get(code.partition("-")[0].lower())
    return f"{name} ({code})" if name else code


def detect(text: str) -> str | None:
    """Return the language of a text, None where neither its script nor its words decide.

    >>> detect("我在 Google 当工程师"), detect("I work at Google as an engineer"), detect("OK")
    ('zh', 'en', None)
    """
    text = text[:MOST]
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
    words = set(_WORD.findall(text.casefold().replace("’", "'")))
    counts = sorted(
        ((len(words & common), language) for language, common in STOP_WORDS.items()), reverse=True
    )
    (most, language), (next_most, _) = counts[:2]
    return language if most >= _FEWEST and most >= 2 * next_most else None
