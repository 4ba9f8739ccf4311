"""Serves the ``embed`` jobs: fetches texts, embeds them outside any transaction, stores the vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.background import CHINESE, ENGLISH
from neuromem.errors import ProviderResponseError
from neuromem.store import approximate, documents, index, jobs, memories, messages, vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgvector import HalfVector

    from neuromem.observe import Observers
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.engine import Database


TEXTS = " UNION ALL ".join((messages.BY_ENTRY, memories.BY_ENTRY, documents.BY_ENTRY))


class Embedder:
    """Embeds the entries of a claim."""

    def __init__(
        self, database: Database, embedding: EmbeddingProvider, space: vectors.Space, observers: Observers,
        *, exact_limit: int | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._embedding = embedding
        self._space = space
        self._observers = observers
        self._exact_limit = exact_limit
        self._measured = space.background is not None

    async def __call__(self, claim: jobs.Claim) -> Mapping[int, Exception]:
        """Embed what the claim's jobs name; vectors and acknowledgement commit together.

        Returns the jobs whose texts the provider could not embed, each with the reason.
        """
        job_of = {job.entry: job.job for job in claim.jobs if job.entry is not None}
        found, refused = await self.embedded(claim.user_id, list(job_of))
        failed = {job_of[entry]: reason for entry, reason in refused.items()}
        async with self._database.user(claim.user_id) as transaction:
            await index.lock(transaction, claim.user_id)
            held = await jobs.done(transaction, claim.only({job.job for job in claim.jobs} - failed.keys()))
            await vectors.insert(
                transaction, claim.user_id, self._space, [(e, v) for e, v in found if job_of[e] in held]
            )
            newest = max((entry for entry, _ in found), default=0)
            if self._exact_limit is not None and newest > self._exact_limit:
                await approximate.ask_for(transaction, claim.user_id, self._exact_limit)
        return failed

    async def embedded(
        self, user_id: str, entries: Sequence[int]
    ) -> tuple[list[tuple[int, HalfVector]], dict[int, ProviderResponseError]]:
        """Return the vectors of a user's entries, normalized, and what was refused with the reason.

        Neither has entries that are gone, nor those whose text has no direction.
        """
        await self._measure_background()
        outcome = await self._embed(await self._texts(user_id, entries))
        found: list[tuple[int, HalfVector]] = []
        refused: dict[int, ProviderResponseError] = {}
        for entry, vector in outcome.items():
            if isinstance(vector, ProviderResponseError):
                refused[entry] = vector
            elif vector is not None:
                found.append((entry, vector))
        return found, refused

    async def _measure_background(self) -> None:
        """Record once per space how near unrelated texts are: relevance is what goes beyond that."""
        if self._measured:
            return
        background = self._embedding.background
        if background is None:
            embedded = await self._call([*ENGLISH, *CHINESE])
            background = vectors.mean_cosine(embedded[: len(ENGLISH)], embedded[len(ENGLISH) :])
        await vectors.record_background(self._database, self._space, background)
        self._measured = True

    async def _texts(self, user_id: str, entries: Sequence[int]) -> list[tuple[int, str]]:
        wanted = {"user": user_id, "entry": list(entries)}
        async with self._database.user(user_id) as transaction:
            rows = await transaction.all(TEXTS, wanted)
        return [(row.entry, row.content) for row in rows]

    async def _embed(
        self, texts: Sequence[tuple[int, str]]
    ) -> dict[int, HalfVector | ProviderResponseError | None]:
        """Return for each entry its normalized vector, None when it has no direction, or what went wrong.

        A batch that the provider refuses is halved until the texts that it cannot take are alone.
        """
        if not texts:
            return {}
        try:
            embedded = await self._call([text for _, text in texts])
        except ProviderResponseError as error:
            if len(texts) == 1:
                return {texts[0][0]: error}
            middle = len(texts) // 2
            return await self._embed(texts[:middle]) | await self._embed(texts[middle:])
        return {entry: self._normalized(vector) for (entry, _), vector in zip(texts, embedded, strict=True)}

    def _normalized(self, vector: Sequence[float]) -> HalfVector | ProviderResponseError | None:
        try:
            return vectors.normalized(vector, self._space, self._embedding.provider)
        except ProviderResponseError as error:
            return error

    async def _call(self, texts: list[str]) -> Sequence[Sequence[float]]:
        provider = self._embedding
        result = await self._observers.embedding(
            provider.model, len(texts), lambda: provider.embed_batch(texts)
        )
        if len(result) != len(texts):
            raise ProviderResponseError(
                f"{provider.provider} returned {len(result)} vectors for {len(texts)} texts.",
                provider=provider.provider,
            )
        return result
