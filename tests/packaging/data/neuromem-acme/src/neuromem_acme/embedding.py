"""An embedding without weights: pairs of letters, counted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from neuromem.plugin import EmbeddingProvider

if TYPE_CHECKING:
    from collections.abc import Sequence


class AcmeEmbedding(EmbeddingProvider):
    """Counts pairs of letters."""

    dims = 64

    def __init__(self, model: str = "pairs") -> None:
        self._model = model

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._model

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts."""
        return [self._vector(text.lower()) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dims
        for first, second in pairwise(text):
            vector[(ord(first) * 31 + ord(second)) % self.dims] += 1.0
        return vector
