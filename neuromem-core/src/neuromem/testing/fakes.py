"""Fakes for what costs money or time."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from neuromem.domain.tokens import tokenize
from neuromem.plugin.providers import EmbeddingProvider

if TYPE_CHECKING:
    from collections.abc import Sequence


class HashEmbedding(EmbeddingProvider):
    """An embedding without a model: each token votes for a few dimensions, so texts that share words are near.

    The same text gives the same vector on every machine; a text without tokens gives a zero vector.
    """

    def __init__(self, dims: int = 64, model: str = "hash") -> None:
        self._dims = dims
        self._model = model
        self.calls: list[list[str]] = []

    @property
    def model(self) -> str:
        """Name of the fake."""
        return self._model

    @property
    def dims(self) -> int:
        """Length of every vector."""
        return self._dims

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts, and remember the call."""
        self.calls.append(list(texts))
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self._dims
        for token in tokenize(text):
            digest = blake2b(token.encode(), digest_size=12).digest()
            for i in range(0, 12, 3):
                place = int.from_bytes(digest[i : i + 2]) % self._dims
                vector[place] += 1.0 if digest[i + 2] % 2 else -1.0
        return vector
