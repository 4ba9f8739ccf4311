"""Commits the digest of a batch: insights, evidence, mood and the marks on the memories, in one transaction."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from neuromem.digest.reconcile import NewInsight, reconcile_insights
from neuromem.domain.memories import Learned, NewMemory
from neuromem.domain.memory_types import INSIGHT
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.store.database.users import begin_write
from neuromem.store.memories.closing import retire_unsupported_later
from neuromem.store.memories.digest_queue import mark_digested, unchanged_evidence
from neuromem.store.memories.emotions import MOOD_WINDOW, set_mood
from neuromem.store.memories.evidence import add_evidence
from neuromem.store.memories.learned import store_learned, version_chains
from neuromem.store.memories.write import statement_hash
from neuromem.store.queue.lease import LeaseLostError, renew_lease
from neuromem.store.queue.token_usage import add_token_usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.config import Settings
    from neuromem.digest.prompt_input import BatchLabels, DigestAnswer
    from neuromem.digest.reply_models import InsightItem
    from neuromem.domain.memories import Memory
    from neuromem.observe import LLMCall
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.memories.digest_queue import Evidence
    from neuromem.store.queue.lease import Lease

logger = logging.getLogger("neuromem")

OPERATION = "digest"


@dataclass(frozen=True, slots=True)
class DigestedBatch:
    """How many insights of a batch are new, and the ids of all that are new, changed or have new evidence."""

    generated: int = 0
    touched: tuple[str, ...] = ()


class DigestCommit:
    """Commits the answer to a batch."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def store(
        self,
        user_id: str,
        lease: Lease,
        batch: Sequence[Memory],
        labels: BatchLabels,
        answer: DigestAnswer,
        calls: Sequence[LLMCall],
    ) -> DigestedBatch:
        """Commit an answer.

        Args:
            user_id: The user.
            lease: The lease under which the user is digested.
            batch: The memories to mark as digested.
            labels: What the model was shown.
            answer: What it replied.
            calls: The calls that it took, which are added to the user's token usage.

        Raises:
            LeaseLostError: Another process has the lease by now, or the user is gone; nothing was stored.
        """
        items = answer.reply.insights
        async with self._database.user(user_id) as transaction:
            write = await begin_write(transaction, user_id, len(items))
            if not await renew_lease(transaction, lease, self._settings.work.lease):
                raise LeaseLostError
            unchanged = await unchanged_evidence(transaction, user_id, labels.memories.values())
            insights, rejected = self._new_insights(items, labels, unchanged, answer)
            versions = await version_chains(
                transaction,
                user_id,
                hashes=[insight.digest for insight in insights],
                unique_keys=[],
                targets=[insight.target for insight in insights if insight.target],
            )
            outcome = reconcile_insights(insights, versions)
            learned = Learned(outcome.added, outcome.superseded)
            await store_learned(
                transaction, user_id, learned, write, tokens=EntryTokenizer(self._settings.language)
            )
            touched = tuple(dict.fromkeys((*outcome.supported, *outcome.contradicted)))
            await add_evidence(transaction, user_id, outcome.evidence_rows(), write.now)
            await self._mood(transaction, user_id, batch, answer, write.now)
            await mark_digested(transaction, user_id, batch, write.now)
            if calls:
                await add_token_usage(transaction, user_id, OPERATION, calls)
            retire_unsupported_later(transaction, user_id, (), touched)
        rejected.update(answer.reply.rejected)
        if rejected:
            reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(rejected.items()))
            logger.info("Not kept of a digest of user %r: %s.", user_id, reasons)
        new = sum(1 for added in outcome.added if added.version == 1)
        return DigestedBatch(new, touched)

    def _new_insights(
        self,
        items: Sequence[InsightItem],
        labels: BatchLabels,
        unchanged: Mapping[str, Evidence],
        answer: DigestAnswer,
    ) -> tuple[list[NewInsight], Counter[str]]:
        """Return the insights whose evidence is still as it was shown, and count the others by reason."""
        insights: list[NewInsight] = []
        rejected: Counter[str] = Counter()
        for item in items:
            shown = labels.evidence(item.evidence)
            evidence = [unchanged[memory.id] for memory in shown if memory.id in unchanged]
            known = labels.insights.resolve(item.known.id) if item.known else None
            if not evidence:
                rejected["insight without evidence" if not shown else "insight whose evidence is gone"] += 1
                continue
            if len(set(item.evidence)) > len(shown):
                rejected["evidence that nobody was shown"] += len(set(item.evidence)) - len(shown)
            if not item.content and known is None:
                rejected["insight without content"] += 1
                continue
            new = (
                NewMemory(
                    content=item.content,
                    memory_type=INSIGHT.name,
                    category=item.category,
                    importance=item.importance,
                    origin=answer.origin,
                    sources=tuple(dict.fromkeys(m for one in evidence for m in one.messages)),
                )
                if item.content
                else None
            )
            insights.append(
                NewInsight(
                    new,
                    statement_hash(new) if new else b"",
                    evidence,
                    item.known.standing if item.known and known else None,
                    known.id if known else None,
                )
            )
        return insights, rejected

    async def _mood(
        self,
        transaction: Transaction,
        user_id: str,
        batch: Sequence[Memory],
        answer: DigestAnswer,
        now: datetime,
    ) -> None:
        """Store the sentence about the last weeks, if the batch has memories of them."""
        since = now - timedelta(days=MOOD_WINDOW)
        recent = [m.id for m in batch if min(m.occurred_at or m.created_at, m.created_at) > since]
        if answer.reply.state and recent:
            await set_mood(transaction, user_id, answer.reply.state, recent, answer.origin, now)
