"""What memories show together: insights, and how the user feels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain import validation
from neuromem.facades.life import Operations

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from neuromem.domain.insights import DigestProgress, DigestResult, EmotionProfile, Insight

MAX_BATCH = 500


class Insights(Operations):
    """What can be asked of a user's memories as a whole."""

    async def digest(
        self,
        user_id: str,
        batch_size: int = 50,
        background: bool = False,
        *,
        progress: Callable[[DigestProgress], object] | None = None,
    ) -> DigestResult | None:
        """Look for insights in the memories that were not digested yet, ``batch_size`` at a time.

        Returns ``memories_analyzed, insights_generated, insights`` (new, changed or newly supported) and
        ``emotion_profile``; with ``background=True`` None at once, and errors go to ``on_digest`` and ``nm.stats()``.
        ``progress`` is called after each batch. No memory is analyzed twice; when a call of the LLM fails its error
        is raised, what was done before stays, and the rest waits for the next digest. Without an LLM only the
        emotion profile is returned.
        """
        validation.user_id(user_id)
        size = validation.count("batch_size", batch_size, most=MAX_BATCH)
        if background:
            await self._life.thinking.later(user_id, size)
            return None
        digested = await self._life.thinking.digest(user_id, size, progress)
        self._life.wake()
        return digested

    async def insights(
        self, user_id: str, limit: int = 50, *, as_of: datetime | None = None
    ) -> list[Insight]:
        """Return the insights that hold, or held then, those with the most confidence first.

        Each has ``id, content, category, importance, confidence, stage, source_ids`` (the memories that speak for it)
        and ``created_at``. `recall` finds them by meaning with ``memory_type="insight"``.
        """
        validation.user_id(user_id)
        return await self._life.thinking.insights(
            user_id, validation.count("limit", limit, most=10_000), validation.moment("as_of", as_of)
        )

    async def emotion_profile(self, user_id: str, as_of: datetime | None = None) -> EmotionProfile:
        """Return how the user feels: of late and in the long run, or as it was known then.

        ``latest_state`` (a sentence, None without an LLM) and ``latest_state_valence`` speak of the last two weeks;
        ``valence_avg, arousal_avg, dominant_emotions, emotion_triggers`` of all that holds.
        """
        validation.user_id(user_id)
        return await self._life.thinking.profile(user_id, validation.moment("as_of", as_of))
