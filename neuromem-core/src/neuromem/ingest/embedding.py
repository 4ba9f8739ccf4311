"""Serves the ``embed`` jobs: fetches texts, embeds them outside any transaction, stores vectors and result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.searchable import embedded_text
from neuromem.errors import ProviderResponseError
from neuromem.store import jobs, memories, messages, vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.observe import Observers
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.engine import Database


class Embedder:
    """Embeds the entries of a claim."""

    def __init__(
        self, database: Database, embedding: EmbeddingProvider, space: vectors.Space, observers: Observers
    ) -> None:
        self._database = database
        self._embedding = embedding
        self._space = space
        self._observers = observers

    async def __call__(self, claim: jobs.Claim) -> None:
        """Embed what the claim's jobs name; vectors and acknowledgement commit together."""
        texts = await self._texts(claim)
        embedded = await self._embed([text for _, text in texts])
        found = []
        for (entry, _), vector in zip(texts, embedded, strict=True):
            literal = vectors.literal(vector, self._space, self._embedding.provider)
            if literal is not None:
                found.append((entry, literal))
        async with self._database.user(claim.user_id) as transaction:
            held = await jobs.held(transaction, claim)
            mine = {job.entry for job in claim.jobs if job.job in held}
            await vectors.insert(
                transaction, claim.user_id, self._space, [(e, v) for e, v in found if e in mine]
            )
            await jobs.done(transaction, claim)

    async def _texts(self, claim: jobs.Claim) -> list[tuple[int, str]]:
        wanted = {"user": claim.user_id, "entry": [job.entry for job in claim.jobs]}
        async with self._database.user(claim.user_id) as transaction:
            rows = [
                *await transaction.all(messages.BY_ENTRY, wanted),
                *await transaction.all(memories.BY_ENTRY, wanted),
            ]
        return [(row.entry, embedded_text(row.content, speaker=row.name)) for row in rows]

    async def _embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if not texts:
            return []
        provider = self._embedding
        result = await self._observers.embedding(
            provider.model, len(texts), lambda: provider.embed_batch(list(texts))
        )
        if len(result) != len(texts):
            raise ProviderResponseError(
                f"{provider.provider} returned {len(result)} vectors for {len(texts)} texts.",
                provider=provider.provider,
            )
        return result
