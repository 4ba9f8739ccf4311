"""Digests, the insights they find, and the emotion profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain import validation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from neuromem.digest.service import DigestService
    from neuromem.domain.insights import DigestProgress, DigestResult, EmotionProfile, Insight

MAX_BATCH = 500  # memories
MAX_LIMIT = 10_000


class Insights:
    """Finds and lists what a user's memories show together."""

    def __init__(self, digests: DigestService, *, wake: Callable[[], None]) -> None:
        self._digests = digests
        self._wake = wake

    async def digest(
        self,
        user_id: str,
        batch_size: int = 50,
        background: bool = False,
        *,
        progress: Callable[[DigestProgress], object] | None = None,
    ) -> DigestResult | None:
        """Look for insights in the memories that were not digested yet, ``batch_size`` at a time.

        No memory is analyzed twice. When a call of the LLM fails, its error is raised, what was done before stays, and
        the rest waits for the next digest. Without an LLM only the emotion profile is returned.

        Args:
            user_id: Whose memories.
            batch_size: Memories in one call of the LLM, 1 to 500; fewer where they are long.
            background: Leave it to the worker and return None at once. Errors then go to ``on_digest`` and `stats`.
            progress: Called after each batch, sync or async. Not used with ``background``.

        Returns:
            ``memories_analyzed``, ``insights_generated``, ``insights`` (new, changed or newly supported, up to 1,000)
            and ``emotion_profile``; None with ``background``.

        Raises:
            InputError: An argument cannot be used.
            BudgetError: The user's tokens of today (``settings.extraction.daily_tokens``) are spent.
            ProviderError: The LLM failed.
        """
        validation.user_id(user_id)
        size = validation.count("batch_size", batch_size, most=MAX_BATCH)
        if background:
            await self._digests.later(user_id, size)
            return None
        digested = await self._digests.digest(user_id, size, progress)
        self._wake()
        return digested

    async def insights(
        self, user_id: str, limit: int = 50, *, as_of: datetime | None = None
    ) -> list[Insight]:
        """Return the insights that hold, or held then, those with the most confidence first.

        `recall` finds them by meaning with ``memory_type="insight"``.

        Args:
            user_id: Whose insights.
            limit: How many at most, 1 to 10,000.
            as_of: The moment to answer as of; timezone-aware. None: now.

        Returns:
            Dicts with ``id, content, category, importance, confidence, stage, source_ids`` (the memories that speak for
            it) and ``created_at``.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        return await self._digests.insights(
            user_id, validation.count("limit", limit, most=MAX_LIMIT), validation.moment("as_of", as_of)
        )

    async def emotion_profile(self, user_id: str, as_of: datetime | None = None) -> EmotionProfile:
        """Return how the user feels: of late and in the long run, or as it was known then.

        Args:
            user_id: Whose memories.
            as_of: The moment to answer as of; timezone-aware. None: now.

        Returns:
            ``latest_state`` (a sentence, None without an LLM) and ``latest_state_valence`` speak of the last two weeks;
            ``valence_avg, arousal_avg, dominant_emotions, emotion_triggers`` of all that holds.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        return await self._digests.profile(user_id, validation.moment("as_of", as_of))
