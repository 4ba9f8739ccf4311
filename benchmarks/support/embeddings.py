"""Embeddings for benchmarks: chosen by name, cached on request."""

from __future__ import annotations

import asyncio
import sqlite3
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from neuromem.plugin import EmbeddingProvider
from neuromem.registry import PluginRegistry
from neuromem.testing import HashEmbedding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DIMS = 384


def choose(name: str, cache: Path | None = None) -> EmbeddingProvider:
    """Return an embedding by name; ``hash`` stands for the one that needs no model."""
    chosen: EmbeddingProvider
    chosen = HashEmbedding(DIMS) if name == "hash" else PluginRegistry.discover().choose_embedding(name).value
    return CachedEmbedding(chosen, cache) if cache is not None else chosen


class CachedEmbedding(EmbeddingProvider):
    """Remembers the vectors of another provider in a file, by what made them and the text."""

    def __init__(self, inner: EmbeddingProvider, folder: Path) -> None:
        self._inner = inner
        folder.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(folder / "embeddings.sqlite")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID"
        )
        self._turn = asyncio.Lock()

    @property
    def model(self) -> str:
        """The inner model."""
        return self._inner.model

    @property
    def dims(self) -> int:
        """The inner length."""
        return self._inner.dims

    @property
    def provider(self) -> str:
        """The inner vendor."""
        return self._inner.provider

    @property
    def revision(self) -> str:
        """The inner revision."""
        return self._inner.revision

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed what is not known yet."""
        async with self._turn:
            keys = [self._key("text", text) for text in texts]
            known = {key: vector for key in keys if (vector := self._find(key)) is not None}
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            if missing:
                vectors = await self._inner.embed_batch(list(missing.values()))
                for key, vector in zip(missing, vectors, strict=True):
                    known[key] = self._keep(key, vector)
                self._file.commit()
            return [known[key] for key in keys]

    async def embed_query(self, text: str) -> list[float]:
        """Embed a question, unless it is known."""
        async with self._turn:
            key = self._key("query", text)
            vector = self._find(key)
            if vector is None:
                vector = self._keep(key, await self._inner.embed_query(text))
                self._file.commit()
            return vector

    async def close(self) -> None:
        """Close the inner provider; the file stays open until this object goes."""
        await self._inner.close()

    def _key(self, kind: str, text: str) -> bytes:
        made_by = f"{self.provider}\0{self.model}\0{self.dims}\0{self.revision}\0{kind}\0{text}"
        return blake2b(made_by.encode(), digest_size=16).digest()

    def _find(self, key: bytes) -> list[float] | None:
        row = self._file.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else [float(x) for x in np.frombuffer(row[0], dtype=np.float32)]

    def _keep(self, key: bytes, vector: Sequence[float]) -> list[float]:
        stored = np.asarray(vector, dtype=np.float32)
        self._file.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?)", (key, stored.tobytes()))
        return [float(x) for x in stored]
