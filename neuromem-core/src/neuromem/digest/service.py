"""Digests a user's memories batch by batch; the insights of a batch commit together with the marks on its memories."""

from __future__ import annotations

import inspect
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuromem.digest.commit import OPERATION, DigestCommit
from neuromem.digest.emotion_profile import compute_emotion_profile
from neuromem.digest.prompt_input import MAX_MEMORY_LENGTH, BatchLabels, ask_for_insights
from neuromem.digest.user_lease import user_lease
from neuromem.domain.events import DigestEvent
from neuromem.domain.insights import DigestProgress, DigestResult, EmotionProfile, Insight, stage
from neuromem.store.memories.digest_queue import (
    count_undigested,
    enqueue_digest,
    undigested_batch,
)
from neuromem.store.memories.emotions import emotion_sums, recent_mood
from neuromem.store.memories.insights import insights_by_id, strongest_insights
from neuromem.store.queue.lease import LeaseLostError
from neuromem.store.queue.token_budget import check_budget, tokens_used_today
from neuromem.store.queue.token_usage import add_token_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from neuromem.config import Settings
    from neuromem.digest.commit import DigestedBatch
    from neuromem.digest.related_memories import RelatedMemories
    from neuromem.domain.memories import Memory
    from neuromem.observe import LLMCall, MeteredLLM, Observers
    from neuromem.plugin.context import Clock
    from neuromem.store.database.database import Database
    from neuromem.store.memories.insights import StoredInsight
    from neuromem.store.queue.lease import Lease
    from neuromem.store.queue.worker_liveness import WorkerLiveness

logger = logging.getLogger("neuromem")

MAX_BATCH_LENGTH = 60_000
"""Characters of new memories in one call; a batch of long memories has fewer of them."""
MAX_DETAILS = 1_000
"""So many insights are in a result; ``insights_generated`` counts all."""


@dataclass(slots=True)
class _Run:
    """The progress of one call of ``digest()``."""

    analyzed: int = 0
    generated: int = 0
    touched: dict[str, None] = field(default_factory=dict)


class DigestService:
    """Digests the memories of users; without an LLM there is only the arithmetic of the emotion profile."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        llm: MeteredLLM | None,
        related: RelatedMemories,
        observers: Observers,
        clock: Clock,
        wake: Callable[[], None],
        liveness: WorkerLiveness,
    ) -> None:
        self._database = database
        self._liveness = liveness
        self._settings = settings
        self._llm = llm
        self._related = related
        self._commit = DigestCommit(database, settings)
        self._observers = observers
        self._clock = clock
        self._wake = wake

    async def digest(
        self, user_id: str, batch_size: int, progress: Callable[[DigestProgress], object] | None = None
    ) -> DigestResult:
        """Digest all memories that are not digested yet.

        Args:
            user_id: The user.
            batch_size: Memories in one call of the model.
            progress: Is called (and awaited) after each batch.

        Raises:
            BudgetError: The user's budget of tokens is used up.
            ProviderError: The model failed. Batches that were committed before stay.
        """
        run, start, error = _Run(), time.perf_counter(), None
        try:
            if self._llm is None:
                logger.info(
                    "There is no LLM: the emotion profile of user %r is kept, insights are not looked for.",
                    user_id,
                )
            else:
                while True:
                    try:
                        await self._all(user_id, batch_size, run, self._llm, progress)
                        break
                    except LeaseLostError:  # the other may leave some undone: look again
                        logger.info("The digest of user %r was taken over, or the user is gone.", user_id)
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            if run.analyzed:
                failure.add_note(
                    f"{run.analyzed} memories of user {user_id!r} were digested before; the rest is next time."
                )
            raise
        finally:
            event = DigestEvent(
                user_id=user_id,
                duration=time.perf_counter() - start,
                memories_analyzed=run.analyzed,
                insights_generated=run.generated,
                error=error,
            )
            await self._observers.notify("on_digest", event)
        async with self._database.reader(user_id) as transaction:
            insights = await insights_by_id(transaction, user_id, list(run.touched)[-MAX_DETAILS:])
        return DigestResult(
            memories_analyzed=run.analyzed,
            insights_generated=run.generated,
            insights=[insight_of(one) for one in insights],
            emotion_profile=await self.profile(user_id),
        )

    async def later(self, user_id: str, batch_size: int) -> None:
        """Enqueue a digest as a job."""
        if self._llm is None:
            logger.info("There is no LLM: nothing is digested in the background for user %r.", user_id)
            return
        await enqueue_digest(self._database, user_id, batch_size)
        self._wake()

    async def profile(self, user_id: str, as_of: datetime | None = None) -> EmotionProfile:
        """Return the emotion profile, now or as it was known at ``as_of``."""
        async with self._database.reader(user_id, as_of=as_of) as transaction:
            sums = await emotion_sums(transaction, user_id, as_of)
            return compute_emotion_profile(sums, await recent_mood(transaction, user_id, as_of))

    async def insights(self, user_id: str, limit: int, as_of: datetime | None) -> list[Insight]:
        """Return the strongest insights, now or as they were known at ``as_of``."""
        async with self._database.reader(user_id, as_of=as_of) as transaction:
            return [insight_of(one) for one in await strongest_insights(transaction, user_id, limit, as_of)]

    async def _all(
        self,
        user_id: str,
        batch_size: int,
        run: _Run,
        llm: MeteredLLM,
        progress: Callable[[DigestProgress], object] | None,
    ) -> None:
        async with user_lease(self._database, self._settings.work, self._liveness, user_id) as lease:
            while lease is not None:
                async with self._database.reader(user_id) as transaction:
                    batch = _fitting(await undigested_batch(transaction, user_id, batch_size))
                    left = await count_undigested(transaction, user_id) if progress is not None else 0
                if not batch:
                    return
                done = await self._batch(user_id, lease, batch, llm)
                run.analyzed += len(batch)
                run.generated += done.generated
                run.touched |= dict.fromkeys(done.touched)
                if progress is not None:
                    awaitable = progress(
                        DigestProgress(
                            memories_analyzed=run.analyzed,
                            memories_left=max(0, left - len(batch)),
                            insights_generated=run.generated,
                        )
                    )
                    if inspect.isawaitable(awaitable):
                        await awaitable

    async def _batch(
        self, user_id: str, lease: Lease, batch: Sequence[Memory], llm: MeteredLLM
    ) -> DigestedBatch:
        """Ask the model about a batch and commit its answer; no transaction is open while it replies."""
        await self._check_budget(user_id)
        related, known = await self._related.find(user_id, batch)
        labels = BatchLabels(batch, related, known)
        stored = False
        with llm.account() as calls:
            try:
                answer = await ask_for_insights(
                    llm,
                    user_id,
                    labels,
                    today=self._clock.now(),
                    sensitive=self._settings.digest.sensitive_inferences,
                )
                done = await self._commit.store(user_id, lease, batch, labels, answer, calls)
                stored = True
                return done
            finally:
                if calls and not stored:
                    await self._record_usage(user_id, calls)

    async def _record_usage(self, user_id: str, calls: Sequence[LLMCall]) -> None:
        async with self._database.user(user_id) as transaction:
            await add_token_usage(transaction, user_id, OPERATION, calls)

    async def _check_budget(self, user_id: str) -> None:
        limit = self._settings.extraction.daily_tokens
        if limit is not None:
            used = await tokens_used_today(self._database, user_id, self._clock.now())
            check_budget(user_id, used, limit, operation="the digest")


def insight_of(known: StoredInsight) -> Insight:
    """Return an insight as the public API shows it."""
    return Insight(
        id=known.id,
        content=known.content,
        category="summary" if known.category == "summary" else "pattern",
        importance=known.importance,
        confidence=known.confidence,
        stage=stage(known.confidence),
        source_ids=list(known.evidence),
        created_at=known.created_at,
    )


def _fitting(batch: Sequence[Memory]) -> list[Memory]:
    """Return the first memories that fit into one call, at least one."""
    fitting: list[Memory] = []
    size = 0
    for memory in batch:
        size += min(len(memory.content), MAX_MEMORY_LENGTH)
        if fitting and size > MAX_BATCH_LENGTH:
            break
        fitting.append(memory)
    return fitting
