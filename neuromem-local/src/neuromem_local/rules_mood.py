"""The valence of a message, by the lexicon of VADER; English only."""

from __future__ import annotations

import re

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

CLEAR = 0.4  # below that it may be anything
# Words that are about what is said rather than about how the speaker feels.
PLAIN = (
    "friend",
    "friends",
    "favorite",
    "favorites",
    "like",
    "liked",
    "likes",
    "engaged",
    "ignore",
    "fear",
    "bug",
)
_NOT_FELT = re.compile(r"[?\"“”]|\b(?:if|wish|would|he|she|they|said|says|told)\b|'d\b", re.IGNORECASE)


class Mood:
    """Computes valence; created once, because it reads its lexicon from a file."""

    def __init__(self) -> None:
        self._analyzer = SentimentIntensityAnalyzer()
        for word in PLAIN:
            self._analyzer.lexicon.pop(word, None)

    def of(self, text: str, *, chinese: bool) -> float | None:
        """Return the valence in [-1, 1]; None when it is not clear."""
        if chinese or _NOT_FELT.search(text):
            return None
        compound = float(self._analyzer.polarity_scores(text)["compound"])
        return round(compound, 2) if abs(compound) >= CLEAR else None
