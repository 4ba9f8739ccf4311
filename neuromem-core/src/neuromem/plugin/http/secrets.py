"""A key that nobody sees by accident."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[^\s\"'`<>,;:=(){}\[\]]+")
_KEY_LIKE = re.compile(r"\b(?:sk|pk|rk)-[\w*.-]{4,}|(?<=Bearer )[\w*.~+/=-]+", re.IGNORECASE)
_SHOWN = "***"


class Secret:
    """Holds a key without showing it; ``mask`` takes it out of other people's texts."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return _SHOWN

    def reveal(self) -> str:
        """Return the key itself, to put it on the wire and nowhere else."""
        return self._value

    def mask(self, text: str) -> str:
        """Return the text without the key, parts of it that vendors echo, and what looks like one."""
        if self._value:
            text = text.replace(self._value, _SHOWN)
        if len(self._value) >= 16:  # a part of a short key is an ordinary word
            text = _TOKEN.sub(self._mask_part, text)
        return _KEY_LIKE.sub(_SHOWN, text)

    def _mask_part(self, token: re.Match[str]) -> str:
        word = token.group()
        echoed = self._value[:6] in word or self._value[-6:] in word
        return _SHOWN if echoed else word
