"""The handler of the ``embed`` jobs: reads texts, embeds them outside any transaction, stores the vectors."""

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
    normalized_vector,
    record_baseline_cosine,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgvector import HalfVector

    from neuromem.observe import Observers
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.database.database import Database


TEXTS = " UNION ALL ".join((MESSAGE_BY_ENTRY, MEMORY_BY_ENTRY, PASSAGE_BY_ENTRY))


class EmbeddingHandler:
    """Embeds index entries in one embedding space.

    Args:
        database: Where the texts are.
        embedding: The model of the space.
        space: Where the vectors go.
        observers: Are told of the calls.
        exact_limit: Number of entries of a user beyond which the user gets an index.
    """

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
        self._has_baseline = space.baseline_cosine is not None

    @property
    def capability(self) -> str:
        """What the jobs of the space need."""
        return self._space.capability

    async def handle(self, claim: Claim) -> Mapping[int, Exception]:
        """Embed the entries of a claim; vectors and acknowledgement commit together.

        Returns:
            The jobs whose texts the provider could not embed, each with the reason.
        """
        job_of = {job.entry: job.job for job in claim.jobs if job.entry is not None}
        vectors, refused = await self.embed_entries(claim.user_id, list(job_of))
        failed = {job_of[entry]: reason for entry, reason in refused.items()}
        async with self._database.user(claim.user_id) as transaction:
            await lock_user(transaction, claim.user_id)
            held = await acknowledge_jobs(
                transaction, claim.only({job.job for job in claim.jobs} - failed.keys())
            )
            await insert_vectors(
                transaction, claim.user_id, self._space, [(e, v) for e, v in vectors if job_of[e] in held]
            )
            newest = max((entry for entry, _ in vectors), default=0)
            if newest > self._exact_limit:
                await enqueue_index_build(transaction, claim.user_id, self._exact_limit)
        return failed

    async def embed_entries(
        self, user_id: str, entries: Sequence[int]
    ) -> tuple[list[tuple[int, HalfVector]], dict[int, ProviderResponseError]]:
        """Embed a user's entries.

        Returns:
            The normalized vectors by entry, and the errors of the entries that the provider refused. Neither has
            entries that are gone, nor those whose vector is zero.
        """
        await self._record_baseline()
        outcomes = await self._embed_texts(await self._texts(user_id, entries))
        vectors: list[tuple[int, HalfVector]] = []
        refused: dict[int, ProviderResponseError] = {}
        for entry, outcome in outcomes.items():
            if isinstance(outcome, ProviderResponseError):
                refused[entry] = outcome
            elif outcome is not None:
                vectors.append((entry, outcome))
        return vectors, refused

    async def _record_baseline(self) -> None:
        """Record once per space the mean cosine of unrelated texts: relevance is what goes beyond it."""
        if self._has_baseline:
            return
        baseline_cosine = self._embedding.baseline_cosine
        if baseline_cosine is None:
            embedded = await self._call([*ENGLISH, *CHINESE])
            baseline_cosine = mean_cosine(embedded[: len(ENGLISH)], embedded[len(ENGLISH) :])
        await record_baseline_cosine(self._database, self._space, baseline_cosine)
        self._has_baseline = True

    async def _texts(self, user_id: str, entries: Sequence[int]) -> list[tuple[int, str]]:
        wanted = {"user": user_id, "entry": list(entries)}
        async with self._database.user(user_id) as transaction:
            rows = await transaction.all(TEXTS, wanted)
        return [(row.entry, row.content) for row in rows]

    async def _embed_texts(
        self, texts: Sequence[tuple[int, str]]
    ) -> dict[int, HalfVector | ProviderResponseError | None]:
        """Return for each entry its normalized vector, None for a vector of zero, or the provider's error.

        A batch that the provider refuses is halved until the texts that it cannot take are alone.
        """
        if not texts:
            return {}
        try:
            embedded = await self._call([text for _, text in texts])
        except ProviderResponseError as error:
            if len(texts) == 1:
                return {texts[0][0]: error}
            half = len(texts) // 2
            return await self._embed_texts(texts[:half]) | await self._embed_texts(texts[half:])
        return {entry: self._normalized(vector) for (entry, _), vector in zip(texts, embedded, strict=True)}

    def _normalized(self, vector: Sequence[float]) -> HalfVector | ProviderResponseError | None:
        try:
            return normalized_vector(vector, self._space, self._embedding.provider)
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
