"""Synthetic memories: words of a Zipf-Mandelbrot vocabulary, and vectors that follow the words.

Word ranks are drawn with p ~ 1 / (rank + 7) from 30,000 words, which gives the document frequencies of real
chat without its stop words: the first word stands in one memory of five, the hundredth in one of sixty. A memory
has 6 to 24 words, 14.8 in the mean, and a date. Its vector is the sum of its words' random vectors, rare words
counting more, plus noise: memories that share words are near, as with a model. A question has five such words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from neuromem.plugin import EmbeddingProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

VOCABULARY = 30_000
FLATTENING = 7
DIMS = 384
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 700

_SYLLABLES = [first + second for first in "bcdfghjklmnprstvwz" for second in "aiou"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts with their moments and normalized vectors (a row each)."""

    texts: list[str]
    moments: list[datetime]
    vectors: NDArray[np.float32]


class Synthetic:
    """Makes memories and questions; the same seed makes the same."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        ranks = np.arange(1, VOCABULARY + 1)
        weights = 1.0 / (ranks + FLATTENING)
        self._cumulated = np.cumsum(weights / weights.sum())
        self._words = np.array([_word(i) for i in range(VOCABULARY)])
        meaning = np.random.default_rng(0).standard_normal((VOCABULARY, DIMS), dtype=np.float32)
        self._meaning = meaning * np.log1p(ranks)[:, None].astype(np.float32)

    def memories(self, n: int) -> Batch:
        """Return ``n`` memories."""
        # a binomial of mean 14.8 between 6 and 24
        lengths = 6 + self._random.binomial(18, (14.8 - 6) / 18, size=n)
        drawn = self._draw(int(lengths.sum()))
        ends = np.cumsum(lengths)
        pieces = np.split(drawn, ends[:-1])
        days = self._random.integers(0, DAYS, size=n)
        return Batch(
            [" ".join(self._words[piece]) for piece in pieces],
            [FIRST_DAY + timedelta(days=int(day)) for day in days],
            self._vectors(drawn, ends - lengths),
        )

    def questions(self, n: int) -> Batch:
        """Return ``n`` questions, no two alike."""
        drawn = self._draw(5 * n).reshape(n, 5)
        texts = [f"{' '.join(self._words[row])} {_word(VOCABULARY + i)}?" for i, row in enumerate(drawn)]
        return Batch(texts, [FIRST_DAY] * n, self._vectors(drawn.reshape(-1), np.arange(n) * 5))

    def _draw(self, n: int) -> NDArray[np.int64]:
        drawn = np.searchsorted(self._cumulated, self._random.random(n))
        return np.minimum(drawn, VOCABULARY - 1)

    def _vectors(self, words: NDArray[np.int64], begins: NDArray[np.int64]) -> NDArray[np.float32]:
        sums = np.add.reduceat(self._meaning[words], begins, axis=0)
        sums /= np.linalg.norm(sums, axis=1, keepdims=True)
        noise = self._random.standard_normal(sums.shape, dtype=np.float32) * (0.5 / np.sqrt(DIMS))
        vectors: NDArray[np.float32] = sums + noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


class PreparedEmbedding(EmbeddingProvider):
    """Returns vectors that were made before, so that no time is spent on embedding; others are an error."""

    model = "prepared"
    dims = DIMS

    def __init__(self) -> None:
        self._known: dict[str, list[float]] = {}

    def prepare(self, batch: Batch) -> None:
        """Take the vectors of a batch."""
        self._known.update(zip(batch.texts, batch.vectors.tolist(), strict=True))

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Look the vectors up."""
        return [self._known[text] for text in texts]


def _word(number: int) -> str:
    """Return a word of three or more syllables, another one for each number."""
    word = ""
    while number or len(word) < 6:
        number, place = divmod(number, len(_SYLLABLES))
        word += _SYLLABLES[place]
    return word
