"""Fakes of an embedding model, an object storage and a clock, which cost neither money nor time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING

from neuromem.domain.text.tokenizer import tokenize
from neuromem.errors import InputError, NotFoundError
from neuromem.plugin.providers import EmbeddingProvider, ObjectStorage

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Sequence


class HashEmbedding(EmbeddingProvider):
    """An embedding without a model: each token is hashed to four dimensions, so texts that share words are near.

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

    @property
    def baseline_cosine(self) -> float:
        """0: unrelated texts share no tokens."""
        return 0.0

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts and append them to ``calls``."""
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


class MemoryStorage(ObjectStorage):
    """An object storage in this process; ``objects`` shows what it holds, ``content_types`` as what."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.content_types: dict[str, str | None] = {}

    async def upload(
        self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
    ) -> str:
        """Store the bytes; a stream that breaks stores nothing."""
        whole = data if isinstance(data, bytes) else b"".join([part async for part in data])
        self.objects[key] = whole
        self.content_types[key] = content_type
        return key

    async def download(self, key: str) -> bytes:
        """Return the bytes; `NotFoundError` when there are none."""
        self._require(key)
        return self.objects[key]

    async def delete(self, key: str) -> bool:
        """Delete an object; True when there was one."""
        self.content_types.pop(key, None)
        return self.objects.pop(key, None) is not None

    async def exists(self, key: str) -> bool:
        """Return whether there is an object."""
        return key in self.objects

    async def presigned_url(self, key: str, expires_in: int = 3600) -> str:
        """Return a URL that only tests understand."""
        self._require(key)
        return f"memory:{key}?expires_in={expires_in}"

    def _require(self, key: str) -> None:
        if key not in self.objects:
            raise NotFoundError(f"There is no object {key!r} in this MemoryStorage; upload it first.")


class FixedClock:
    """A clock that stands still until `advance` is called."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        if now.tzinfo is None:
            raise InputError(f"The clock needs a timezone-aware datetime, not {now!r}: add tzinfo=UTC.")
        self._now = now

    def now(self) -> datetime:
        """Return the clock's moment."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move the clock and return its new moment."""
        self._now += by
        return self._now
