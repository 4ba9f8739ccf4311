"""Commits the extraction of a window: memories, relations, profile, states of messages and jobs in one transaction."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.memory_types import EPISODIC, FACT
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.ingest.extraction.profile_changes import merge_profile
from neuromem.ingest.extraction.reconcile import reconcile_statements
from neuromem.ingest.extraction.validate import validate_extraction
from neuromem.store.conversations.extraction_outcomes import (
    EXTRACTION_OPERATION,
    ExtractionOutcome,
    acknowledge_extraction,
)
from neuromem.store.database.users import begin_write
from neuromem.store.graph.write import store_relations
from neuromem.store.kv.profile_sources import change_profile
from neuromem.store.memories.learned import store_learned, version_chains
from neuromem.store.queue.lease import LeaseLostError
from neuromem.store.queue.token_usage import add_token_usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.config import Settings
    from neuromem.domain.extraction import Extraction, Window
    from neuromem.ingest.extraction.validate import ValidExtraction
    from neuromem.observe import LLMCall
    from neuromem.store.database.database import Database
    from neuromem.store.queue.jobs import Claim

logger = logging.getLogger("neuromem")

NOTHING = "nothing worth keeping"
ONLY_RECALLED = "only what had been recalled"


@dataclass(frozen=True, slots=True)
class StoredCounts:
    """How many of each were stored."""

    facts: int = 0
    episodes: int = 0
    relations: int = 0
    profile: int = 0


class ExtractionCommit:
    """Commits what one extractor found."""

    def __init__(self, database: Database, settings: Settings, extractor: str) -> None:
        self._database = database
        self._settings = settings
        self._extractor = extractor

    def validate(self, window: Window, found: Extraction | None) -> ValidExtraction | None:
        """Return the part of an extraction that may be stored; None when nothing was extracted."""
        if found is None:
            return None
        return validate_extraction(window, found, self._extractor, self._settings.max_content)

    async def store(
        self, claim: Claim, window: Window, found: Extraction | None, calls: Sequence[LLMCall]
    ) -> StoredCounts:
        """Commit what was found in a window, and acknowledge its jobs.

        Args:
            claim: The jobs of the window's messages.
            window: The messages.
            found: What the extractor found; None: there was nothing to extract.
            calls: The calls of models that it took, which are added to the user's token usage.

        Returns:
            How many of each were stored: none when another worker has taken over the jobs.
        """
        valid = self.validate(window, found)
        statements = valid.statements if valid is not None else []
        changed: dict[str, Any] = {}
        try:
            async with self._database.user(claim.user_id) as transaction:
                write = await begin_write(transaction, claim.user_id, len(statements))
                outcome = self.outcome(window, found, valid)
                profile = await acknowledge_extraction(transaction, claim, outcome, calls, write.now)
                if profile is None:
                    raise LeaseLostError
                if valid is None:
                    return StoredCounts()
                if statements:
                    versions = await version_chains(
                        transaction,
                        claim.user_id,
                        hashes=[s.digest for s in statements],
                        unique_keys=[s.new.unique_key for s in statements if s.new.unique_key],
                        targets=[s.target for s in statements if s.target],
                    )
                    await store_learned(
                        transaction,
                        claim.user_id,
                        reconcile_statements(statements, versions),
                        write,
                        tokens=EntryTokenizer(self._settings.language),
                    )
                origin = self.origin(found)
                if valid.edges:
                    await store_relations(transaction, claim.user_id, valid.edges, write.now, origin)
                if valid.profile or valid.withdrawn:
                    changed = merge_profile(profile, valid.profile, valid.withdrawn)
                    await change_profile(
                        transaction,
                        claim.user_id,
                        changed,
                        write.now,
                        origin,
                        said=valid.profile,
                        sources=[message.id for message in window.messages],
                    )
        except LeaseLostError:
            logger.info("The extraction of user %r was finished by another worker.", claim.user_id)
            if calls:
                await self.record_usage(claim.user_id, calls)
            return StoredCounts()
        return StoredCounts(
            valid.count(FACT.name), valid.count(EPISODIC.name), len(valid.edges), len(changed)
        )

    def outcome(
        self, window: Window, found: Extraction | None, valid: ValidExtraction | None
    ) -> ExtractionOutcome:
        """Return the states that the window's messages get, and why those have nothing that have nothing."""
        cited = valid.cited if valid is not None else set()
        why = (found.why if found is not None else None) or NOTHING
        rejected = dict(valid.rejected) if valid is not None else {}
        if rejected and not cited:
            why = "of no use: " + ", ".join(
                f"{reason} ({count})" for reason, count in sorted(rejected.items())
            )
        states: dict[str, tuple[str, str | None]] = {}
        for message in window.messages:
            changes_profile = valid is not None and (valid.profile or valid.withdrawn)
            if message.id in cited or (changes_profile and message.content and not cited):
                states[message.id] = ("done", None)
            else:
                states[message.id] = ("empty", why[:500] if message.content else ONLY_RECALLED)
        origin = {
            **(found.origin if found is not None else {}),
            **({"rejected": rejected} if rejected else {}),
        }
        return ExtractionOutcome(self._extractor, states, found is not None and found.complete, origin)

    def origin(self, found: Extraction | None) -> dict[str, Any]:
        """Return the origin that is stored with what was found."""
        return {
            "by": "extractor",
            "extractor": self._extractor,
            **(found.origin if found is not None else {}),
        }

    async def record_usage(self, user_id: str, calls: Sequence[LLMCall]) -> None:
        """Add calls to the user's token usage of which nothing was committed."""
        async with self._database.user(user_id) as transaction:
            await add_token_usage(transaction, user_id, EXTRACTION_OPERATION, calls)
