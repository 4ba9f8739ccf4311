"""Extracting messages again, with the model, prompt and schema in force now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.errors import InputError
from neuromem.ingest.reextraction.service import Where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.ingest.reextraction.service import ReextractionService

KEYS = frozenset({"session_id", "after", "before"})


class Reextraction:
    """Replaces what was extracted from messages by what is extracted from them now."""

    def __init__(self, service: ReextractionService) -> None:
        self._service = service

    async def reextract(
        self, user_id: str, where: Mapping[str, Any] | None = None, dry_run: bool = True
    ) -> dict[str, Any]:
        """Extract messages again with the model, prompt and schema in force now; replaces what came of them before.

        Memories that a person made, changed, pinned or deleted stay as they are, and no memory that says the same is
        added; so do memories with sources outside of ``where``. Everything else that extraction made and does not make
        again ends, in one transaction, and stays in the past (`rollback_memories` undoes it). The same goes for the
        profile: what only these messages said and do not say again ends, what a person set stays.

        Args:
            user_id: Whose messages.
            where: Narrows the messages that were extracted before: ``session_id``, ``after`` and ``before`` (by when
                they were said; timezone-aware). None: all.
            dry_run: Store nothing and return what would change. It costs the same calls, and another run of a model
                may say other things.

        Returns:
            ``messages`` (how many were read), ``added``, ``changed`` (with ``before`` and ``after``), ``lost``,
            ``kept`` (with what would have come ``instead_of``), ``unchanged`` (how many), ``relations``, ``profile``,
            and ``applied``: False for a dry run.

        Raises:
            InputError: An argument cannot be used.
            NeuroMemError: What the extractor raises, such as `ProviderError`; nothing was changed.
        """
        validation.user_id(user_id)
        given = dict(where or {})
        if unknown := sorted(set(given) - KEYS):
            raise InputError(f"where has unknown keys {unknown}; known are {sorted(KEYS)}.")
        chosen = Where(
            validation.optional_text("session_id", given.get("session_id")),
            validation.moment("after", given.get("after")),
            validation.moment("before", given.get("before")),
        )
        return await self._service.run(user_id, chosen, dry_run=dry_run)
