"""About how many tokens a text has for any language model.

Every estimate of neuromem is here: `estimate_tokens` for budgets, rather a few tokens too many than some too few, and
`average_tokens` for the sizes of passages. The tokenizer of one model would be exact for that model alone, and a
dependency (or a download) that everybody else pays for.
"""

from __future__ import annotations

import math
import re

from neuromem.domain.text.scripts import (
    TOKENS_ACCENTED,
    TOKENS_GREEK_CYRILLIC,
    TOKENS_OTHER_SCRIPTS,
    TOKENS_WHOLE,
)

# Characters that make a token, by what they are: set so that prose, code, numbers and ids come out a little high
# against the tokenizers of current models, and for scripts that only some of them pack well, as the others do.
CHARACTERS_PER_TOKEN = {
    "lower": 5.0,
    "upper": 3.0,
    "digits": 2.0,
    "signs": 2.0,  # punctuation of ASCII
    "accented": 1.0,
    "greek": 1.8,  # Greek and Cyrillic
    "script": 0.8,  # Chinese, Japanese, Korean, Arabic, Thai, Hindi, ...
    "other": 1 / 3,  # emoji, and line breaks
}
_PIECES = re.compile(
    r"(?P<lower>[A-Z]?[a-z]+)|(?P<upper>[A-Z]+)|(?P<digits>[0-9]+)|(?P<signs>[!-/:-@\[-`{-~]+)|(?P<space> )"
    rf"|(?P<accented>[{TOKENS_ACCENTED}]+)|(?P<greek>[{TOKENS_GREEK_CYRILLIC}]+)"
    rf"|(?P<script>[{TOKENS_OTHER_SCRIPTS}]+)|(?P<other>.)",
    re.DOTALL,
)
# Tokenizers begin a new token with every run of these, so a run that fills its last token in part counts it whole.
_ROUNDED_UP = frozenset({"lower", "upper", "digits", "signs"})
_WHOLE_TOKEN = re.compile(f"[{TOKENS_WHOLE}]")
_AVERAGE_CHARACTERS = 4


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has: for budgets, which are not to be exceeded.

    Args:
        text: Any text, in any language. Random characters (keys, base64) may have more tokens than estimated.

    Returns:
        The number of tokens, rounded up; 0 for an empty text.
    """
    tokens = 0.0
    for match in _PIECES.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "space":
            continue
        size = (match.end() - match.start()) / CHARACTERS_PER_TOKEN[kind]
        tokens += math.ceil(size) if kind in _ROUNDED_UP else size
    return math.ceil(tokens)


def average_tokens(text: str) -> float:
    """Return how many tokens a text has on average: for sizes that need not be kept exactly, such as passages.

    A character of a script without spaces counts as one token, of all others four make one. Files are cut by this
    instead of by `estimate_tokens`, which takes a few hundred times as long: half a minute for a table of 50 MB.

    Args:
        text: Any text, in any language.

    Returns:
        The number of tokens, not rounded; the numbers of the parts of a text add up to that of the whole.
    """
    whole = 0 if text.isascii() else len(_WHOLE_TOKEN.findall(text))
    return whole + (len(text) - whole) / _AVERAGE_CHARACTERS
