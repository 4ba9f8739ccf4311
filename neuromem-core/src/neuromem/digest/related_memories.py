"""Finds the older memories and the known insights that are related to a batch, by recall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.memory_types import INSIGHT, derived_types
from neuromem.store.memories.digest_queue import evidence_by_id
from neuromem.store.memories.insights import insights_by_id, latest_insights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.config import DigestSettings
    from neuromem.domain.memories import Memory
    from neuromem.domain.recall_result import RetrievedItem
    from neuromem.recall.service import RecallService
    from neuromem.store.database.database import Database
    from neuromem.store.memories.insights import StoredInsight

QUESTIONS = 3
"""So many memories of a batch, the most important ones, are used as questions."""
LATEST_INSIGHTS = 10
"""So many of the latest insights are always included."""
MAX_QUESTION = 500
"""Characters of a question."""


class RelatedMemories:
    """Finds what is related to a batch.

    Args:
        database: The database.
        recall: The recall by which it is found.
        settings: How many memories and insights are wanted.
    """

    def __init__(self, database: Database, recall: RecallService, settings: DigestSettings) -> None:
        self._database = database
        self._recall = recall
        self._memories = settings.related_memories
        self._insights = settings.known_insights

    async def find(self, user_id: str, batch: Sequence[Memory]) -> tuple[list[Memory], list[StoredInsight]]:
        """Return the memories and the insights that are nearest to a batch, and the latest insights."""
        asked = sorted(batch, key=lambda m: (m.importance or 5) + 2 * (m.arousal or 0), reverse=True)[
            :QUESTIONS
        ]
        near: dict[str, float] = {}
        known: dict[str, float] = {}
        for memory in asked:
            question = memory.content[:MAX_QUESTION]
            if self._memories:
                for hit in await self._recalled(user_id, question, self._memories + len(batch)):
                    if hit.memory_type not in derived_types():
                        near[hit.id] = max(hit.relevance, near.get(hit.id, 0.0))
            for hit in await self._recalled(user_id, question, self._insights, INSIGHT.name):
                known[hit.id] = max(hit.relevance, known.get(hit.id, 0.0))
        new = {memory.id for memory in batch}
        best = [one for one in sorted(near, key=lambda one: -near[one]) if one not in new][: self._memories]
        async with self._database.reader(user_id) as transaction:
            latest = await latest_insights(transaction, user_id, LATEST_INSIGHTS)
            ids = [one.id for one in latest]
            ids += [one for one in sorted(known, key=lambda one: -known[one]) if one not in ids]
            shown = await insights_by_id(transaction, user_id, ids[: self._insights])
            return await evidence_by_id(transaction, user_id, best), shown

    async def _recalled(
        self, user_id: str, text: str, limit: int, memory_type: str | None = None
    ) -> Sequence[RetrievedItem]:
        """Return what recall finds; a retriever that fails is left out."""
        question = self._recall.question(
            user_id, text, limit, memory_type=memory_type, include_conversations=False
        )
        outcome, _ = await self._recall.run(question, skip_errors=True)
        return [found.hit for found in outcome.merged[:limit]]
