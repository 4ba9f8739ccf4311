"""About how many tokens a text has, for any model: rather a few too many than some too few."""

from __future__ import annotations

import re

# Characters that make a token, by what they are: set so that prose, code, numbers and ids come out a little high
# against the tokenizers of current models, and for scripts that only some of them pack well, as the others do.
SIZES = {
    "lower": 5.0,  # letters of a word; its rest is a token, too
    "upper": 3.0,
    "digits": 2.0,
    "signs": 2.0,
    "accented": 1.0,
    "greek": 1.8,  # and Cyrillic
    "script": 0.8,  # Chinese, Japanese, Korean, Arabic, Thai, Hindi, ...
    "other": 1 / 3,  # emoji
}
_PIECES = re.compile(
    r"(?P<lower>[A-Z]?[a-z]+)|(?P<upper>[A-Z]+)|(?P<digits>[0-9]+)|(?P<signs>[!-/:-@\[-`{-~]+)|(?P<space> )"
    r"|(?P<accented>[\u00a1-\u036f\u1e00-\u1eff\u2010-\u205e]+)|(?P<greek>[\u0370-\u052f\u1f00-\u1fff]+)"
    r"|(?P<script>[\u0530-\u1dff\u3000-\ua4cf\ua8e0-\uabff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+)|(?P<other>.)",
    re.DOTALL,
)
_WHOLE = frozenset({"lower", "upper", "digits", "signs"})  # of which a begun token is a token


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has; random characters (keys, base64) may have more."""
    tokens = 0.0
    for match in _PIECES.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "space":
            continue
        size = (match.end() - match.start()) / SIZES[kind]
        tokens += -(-size // 1) if kind in _WHOLE else size
    return int(-(-tokens // 1))
