"""Stores what came of a window, together with the state of its messages and the end of their jobs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.memory_types import EPISODIC, FACT
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.ingest.extraction.reconcile import judge
from neuromem.ingest.extraction.validate import admit, merged
from neuromem.store.conversations.extraction_queue import OPERATION, ExtractionOutcome, acknowledge_extraction
from neuromem.store.database.users import begin_write
from neuromem.store.graph.write import store_relations
from neuromem.store.kv.profile_sources import change_profile
from neuromem.store.memories.write import store_learned, version_chains
from neuromem.store.queue.token_usage import add_token_usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.config import Settings
    from neuromem.domain.extraction import Extraction, Window
    from neuromem.ingest.extraction.validate import Admitted
    from neuromem.observe import Call
    from neuromem.store.database.database import Database
    from neuromem.store.queue.jobs import Claim

logger = logging.getLogger("neuromem")

NOTHING = "nothing worth keeping"
ECHO = "only what had been recalled"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a window: how many of each were stored."""

    facts: int = 0
    episodes: int = 0
    relations: int = 0
    profile: int = 0


class TakenOverError(Exception):
    """Another worker has the jobs by now: nothing may be stored."""


class Storing:
    """Stores what one extractor found; everything of a window in one transaction."""

    def __init__(self, database: Database, settings: Settings, extractor: str) -> None:
        self._database = database
        self._settings = settings
        self._extractor = extractor

    def admit(self, window: Window, found: Extraction | None) -> Admitted | None:
        """Return what of an extraction may be stored."""
        return (
            admit(window, found, self._extractor, self._settings.max_content) if found is not None else None
        )

    async def store(
        self, claim: Claim, window: Window, found: Extraction | None, calls: Sequence[Call]
    ) -> Result:
        """Store what was found together with the state of the messages and the end of their jobs."""
        admitted = self.admit(window, found)
        statements = admitted.statements if admitted is not None else []
        changed: dict[str, Any] = {}
        try:
            async with self._database.user(claim.user_id) as transaction:
                moment = await begin_write(transaction, claim.user_id, len(statements))
                ended = self.ended(window, found, admitted)
                profile = await acknowledge_extraction(transaction, claim, ended, calls, moment.now)
                if profile is None:
                    raise TakenOverError
                if admitted is None:
                    return Result()
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
                        judge(statements, versions),
                        moment,
                        tokens=EntryTokenizer(self._settings.language),
                    )
                origin = self.origin(found)
                if admitted.edges:
                    await store_relations(transaction, claim.user_id, admitted.edges, moment.now, origin)
                if admitted.profile or admitted.withdrawn:
                    changed = merged(profile, admitted.profile, admitted.withdrawn)
                    await change_profile(
                        transaction,
                        claim.user_id,
                        changed,
                        moment.now,
                        origin,
                        said=admitted.profile,
                        sources=[message.id for message in window.messages],
                    )
        except TakenOverError:
            logger.info("The extraction of user %r was finished by another worker.", claim.user_id)
            if calls:
                await self.spend(claim.user_id, calls)
            return Result()
        return Result(
            admitted.count(FACT.name), admitted.count(EPISODIC.name), len(admitted.edges), len(changed)
        )

    def ended(self, window: Window, found: Extraction | None, admitted: Admitted | None) -> ExtractionOutcome:
        """Return how the extraction of the window's messages ended."""
        cited = admitted.cited if admitted is not None else set()
        why = (found.why if found is not None else None) or NOTHING
        rejected = dict(admitted.rejected) if admitted is not None else {}
        if rejected and not cited:
            why = "of no use: " + ", ".join(
                f"{reason} ({count})" for reason, count in sorted(rejected.items())
            )
        states: dict[str, tuple[str, str | None]] = {}
        for message in window.messages:
            told = admitted is not None and (admitted.profile or admitted.withdrawn)
            if message.id in cited or (told and message.content and not cited):
                states[message.id] = ("done", None)
            else:
                states[message.id] = ("empty", why[:500] if message.content else ECHO)
        origin = {
            **(found.origin if found is not None else {}),
            **({"rejected": rejected} if rejected else {}),
        }
        return ExtractionOutcome(self._extractor, states, found is not None and found.complete, origin)

    def origin(self, found: Extraction | None) -> dict[str, Any]:
        """Return who is named as the maker of what was found."""
        return {
            "by": "extractor",
            "extractor": self._extractor,
            **(found.origin if found is not None else {}),
        }

    async def spend(self, user_id: str, calls: Sequence[Call]) -> None:
        """Note what calls cost of which nothing came."""
        async with self._database.user(user_id) as transaction:
            await add_token_usage(transaction, user_id, OPERATION, calls)
