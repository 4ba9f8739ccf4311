"""Stores what came of a batch: insights, their evidence, the mood and the marks on the memories, all or nothing."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from neuromem.digest.reconcile import Finding, resolve
from neuromem.domain.memories import Learned, NewMemory
from neuromem.domain.memory_types import INSIGHT
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.store.database.users import begin_write
from neuromem.store.memories.closing import retire_unsupported_later
from neuromem.store.memories.digest_queue import mark_digested, unchanged_evidence
from neuromem.store.memories.emotions import MOOD_WINDOW, set_mood
from neuromem.store.memories.evidence import add_evidence
from neuromem.store.memories.write import statement_hash, store_learned, version_chains
from neuromem.store.queue.lease import renew_lease
from neuromem.store.queue.token_usage import add_token_usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.config import Settings
    from neuromem.digest.prompt_input import BatchLabels, DigestAnswer
    from neuromem.digest.reply_models import InsightItem
    from neuromem.domain.memories import Memory
    from neuromem.observe import Call
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.memories.digest_queue import Evidence
    from neuromem.store.queue.lease import Lease

logger = logging.getLogger("neuromem")

OPERATION = "digest"


class TakenOverError(Exception):
    """Another process digests for the user by now, or the user is gone: nothing may be stored."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a batch: how many insights are new, and the ids of all that it touched."""

    generated: int = 0
    touched: tuple[str, ...] = ()


class Storing:
    """Stores the answer to a batch."""

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
        calls: Sequence[Call],
    ) -> Done:
        """Store an answer; raises `TakenOverError`, and stores nothing, when it is not ours to store any more."""
        items = answer.reply.insights
        async with self._database.user(user_id) as transaction:
            moment = await begin_write(transaction, user_id, len(items))
            if not await renew_lease(transaction, lease, self._settings.work.lease):
                raise TakenOverError
            holding = await unchanged_evidence(transaction, user_id, labels.memories.values())
            findings, rejected = self._findings(items, labels, holding, answer)
            versions = await version_chains(
                transaction,
                user_id,
                hashes=[finding.digest for finding in findings],
                unique_keys=[],
                targets=[finding.target for finding in findings if finding.target],
            )
            outcome = resolve(findings, versions)
            learned = Learned(outcome.added, outcome.superseded)
            await store_learned(
                transaction, user_id, learned, moment, tokens=EntryTokenizer(self._settings.language)
            )
            touched = tuple(dict.fromkeys((*outcome.supported, *outcome.doubted)))
            await add_evidence(transaction, user_id, outcome.rows(), moment.now)
            await self._mood(transaction, user_id, batch, answer, moment.now)
            await mark_digested(transaction, user_id, batch, moment.now)
            if calls:
                await add_token_usage(transaction, user_id, OPERATION, calls)
            retire_unsupported_later(transaction, user_id, (), touched)
        rejected.update(answer.reply.rejected)
        if rejected:
            told = ", ".join(f"{reason} ({count})" for reason, count in sorted(rejected.items()))
            logger.info("Not kept of a digest of user %r: %s.", user_id, told)
        new = sum(1 for added in outcome.added if added.version == 1)
        return Done(new, touched)

    def _findings(
        self,
        items: Sequence[InsightItem],
        labels: BatchLabels,
        holding: Mapping[str, Evidence],
        answer: DigestAnswer,
    ) -> tuple[list[Finding], Counter[str]]:
        """Return what rests on something, and count what does not."""
        findings: list[Finding] = []
        rejected: Counter[str] = Counter()
        for item in items:
            named = labels.evidence(item.evidence)
            witnesses = [holding[memory.id] for memory in named if memory.id in holding]
            known = labels.insights.resolve(item.known.id) if item.known else None
            if not witnesses:
                rejected["insight without evidence" if not named else "insight whose evidence is gone"] += 1
                continue
            if len(set(item.evidence)) > len(named):
                rejected["evidence that nobody was shown"] += len(set(item.evidence)) - len(named)
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
                    sources=tuple(dict.fromkeys(m for w in witnesses for m in w.messages)),
                )
                if item.content
                else None
            )
            findings.append(
                Finding(
                    new,
                    statement_hash(new) if new else b"",
                    witnesses,
                    item.known.standing if item.known and known else None,
                    known.id if known else None,
                )
            )
        return findings, rejected

    async def _mood(
        self,
        transaction: Transaction,
        user_id: str,
        batch: Sequence[Memory],
        answer: DigestAnswer,
        now: datetime,
    ) -> None:
        """Store the sentence about the last weeks, if the batch has anything to do with them."""
        since = now - timedelta(days=MOOD_WINDOW)
        late = [m.id for m in batch if min(m.occurred_at or m.created_at, m.created_at) > since]
        if answer.reply.state and late:
            await set_mood(transaction, user_id, answer.reply.state, late, answer.origin, now)
