"""Messages are the truth: what was made of them can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.errors import InputError
from neuromem.facades.life import Operations
from neuromem.ingest.reextraction.service import Where

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = frozenset({"session_id", "after", "before"})


class Reextraction(Operations):
    """Extracts anew."""

    async def reextract(
        self, user_id: str, where: Mapping[str, Any] | None = None, dry_run: bool = True
    ) -> dict[str, Any]:
        """Extract messages again with the model, prompt and schema in force now; replaces what came of them before.

        ``where`` narrows the messages that were extracted before: ``session_id``, ``after`` and ``before`` (when they
        were said). Memories that a person made, changed, pinned or deleted stay as they are, and nothing that tells the
        same comes beside them; so do memories with sources outside of ``where``. Everything else that extraction made
        and does not make again ends, in one transaction, and stays in the past (`rollback_memories` undoes it). The
        same goes for the profile: what only these messages said and do not say again ends, what a person set stays.

        Returns ``messages`` (how many were read), ``added``, ``changed`` (with ``before`` and ``after``), ``lost``,
        ``kept`` (with what would have come ``instead_of``), ``unchanged`` (how many), ``relations``, ``profile``, and
        ``applied``: False for a dry run, which shows the same, stores nothing, and costs the same calls; another run of
        a model may say other things. Raises `InputError`, and what the extractor raises, with nothing changed.
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
        return await self._life.reextraction.run(user_id, chosen, dry_run=dry_run)
