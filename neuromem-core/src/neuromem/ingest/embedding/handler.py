"""Serves the ``embed`` jobs: fetches texts, embeds them outside any transaction, stores the vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.calibration_texts import CHINESE, ENGLISH
from neuromem.errors import ProviderResponseError
from neuromem.store.conversations.messages import MESSAGE_BY_ENTRY
from neuromem.store.database.users import lock_user
from neuromem.store.documents.documents import PASSAGE_BY_ENTRY
from neuromem.store.memories.write import MEMORY_BY_ENTRY
from neuromem.store.queue.jobs import Claim, acknowledge_jobs
from neuromem.store.search_index.hnsw import enqueue_index_build
from neuromem.store.search_index.vectors import (
    EmbeddingSpace,
    insert_vectors,
    mean_cosine,
    record_baseline_cosine,
    vector_literal,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.observe import Observers
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.database.database import Database


TEXTS = " UNION ALL ".join((MESSAGE_BY_ENTRY, MEMORY_BY_ENTRY, PASSAGE_BY_ENTRY))


class Embedder:
    """Embeds the entries of a claim."""

    def __init__(
        self,
        database: Database,
        embedding: EmbeddingProvider,
        space: EmbeddingSpace,
        observers: Observers,
        *,
        exact_limit: int,
    ) -> None:
        self._database = database
        self._embedding = embedding
        self._space = space
        self._observers = observers
        self._exact_limit = exact_limit
        self._measured = space.baseline_cosine is not None

    async def __call__(self, claim: Claim) -> Mapping[int, Exception]:
        """Embed what the claim's jobs name; vectors and acknowledgement commit together.

        Returns the jobs whose texts the provider could not embed, each with the reason.
        """
        job_of = {job.entry: job.job for job in claim.jobs if job.entry is not None}
        found, refused = await self.embedded(claim.user_id, list(job_of))
        failed = {job_of[entry]: reason for entry, reason in refused.items()}
        async with self._database.user(claim.user_id) as transaction:
            await lock_user(transaction, claim.user_id)
            held = await acknowledge_jobs(
                transaction, claim.only({job.job for job in claim.jobs} - failed.keys())
            )
            await insert_vectors(
                transaction, claim.user_id, self._space, [(e, v) for e, v in found if job_of[e] in held]
            )
            newest = max((entry for entry, _ in found), default=0)
            if newest > self._exact_limit:
                await enqueue_index_build(transaction, claim.user_id, self._exact_limit)
        return failed

    async def embedded(
        self, user_id: str, entries: Sequence[int]
    ) -> tuple[list[tuple[int, str]], dict[int, ProviderResponseError]]:
        """Return the vectors of a user's entries as literals, and what was refused with the reason.

        Neither has entries that are gone, nor those whose text has no direction.
        """
        await self._measure_background()
        outcome = await self._embed(await self._texts(user_id, entries))
        refused = {entry: o for entry, o in outcome.items() if isinstance(o, ProviderResponseError)}
        return [(entry, o) for entry, o in outcome.items() if isinstance(o, str)], refused

    async def _measure_background(self) -> None:
        """Record once per space how near unrelated texts are: relevance is what goes beyond that."""
        if self._measured:
            return
        baseline_cosine = self._embedding.baseline_cosine
        if baseline_cosine is None:
            embedded = await self._call([*ENGLISH, *CHINESE])
            baseline_cosine = mean_cosine(embedded[: len(ENGLISH)], embedded[len(ENGLISH) :])
        await record_baseline_cosine(self._database, self._space, baseline_cosine)
        self._measured = True

    async def _texts(self, user_id: str, entries: Sequence[int]) -> list[tuple[int, str]]:
        wanted = {"user": user_id, "entry": list(entries)}
        async with self._database.user(user_id) as transaction:
            rows = await transaction.all(TEXTS, wanted)
        return [(row.entry, row.content) for row in rows]

    async def _embed(self, texts: Sequence[tuple[int, str]]) -> dict[int, str | ProviderResponseError | None]:
        """Return for each entry its vector as a literal, None when it has no direction, or what went wrong.

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
        return {entry: self._literal(vector) for (entry, _), vector in zip(texts, embedded, strict=True)}

    def _literal(self, vector: Sequence[float]) -> str | ProviderResponseError | None:
        try:
            return vector_literal(vector, self._space, self._embedding.provider)
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
