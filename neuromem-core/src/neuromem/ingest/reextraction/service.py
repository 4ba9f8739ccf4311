"""Extracts messages again and replaces what was derived from them, or reports what would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.ingest.reextraction.diff import diff_memories, is_replaceable
from neuromem.ingest.reextraction.profile_diff import ProfileDiff
from neuromem.ingest.reextraction.replay import Replay
from neuromem.store.conversations.extraction_outcomes import record_outcomes
from neuromem.store.conversations.reextraction import (
    ExtractedMessage,
    close_edges,
    derived_edges,
    derived_memories,
    messages_to_reextract,
)
from neuromem.store.database.database import DryRunError
from neuromem.store.database.users import begin_write, user_language
from neuromem.store.graph.write import store_relations
from neuromem.store.memories.learned import store_learned
from neuromem.store.queue.token_usage import add_token_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from neuromem.config import Settings
    from neuromem.domain.memories import NewMemory
    from neuromem.ingest.extraction.handler import ExtractionHandler, UncommittedExtraction
    from neuromem.ingest.reextraction.diff import MemoryDiff
    from neuromem.observe import LLMCall
    from neuromem.plugin.context import Clock
    from neuromem.store.database.database import Database, Transaction

OPERATION = "re-extraction"


@dataclass(frozen=True, slots=True)
class Where:
    """Which messages: of a session, said at or after, said before; None sets no bound."""

    session: str | None = None
    after: datetime | None = None
    before: datetime | None = None


class ReextractionService:
    """Extracts again with the active extractors; no call of a model is made inside a transaction."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        handlers: Sequence[ExtractionHandler],
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._settings = settings
        self._handlers = handlers
        self._clock = clock
        self._wake = wake

    async def run(self, user_id: str, where: Where, *, dry_run: bool) -> dict[str, Any]:
        """Extract again and replace what was derived.

        Args:
            user_id: The user.
            where: Which messages.
            dry_run: Whether to report only; the calls of models are made and paid for all the same.

        Returns:
            What changes: memories and relations added, changed and lost, memories kept, the profile's values.
        """
        async with self._database.reader(user_id) as transaction:
            messages = await messages_to_reextract(
                transaction, user_id, session=where.session, after=where.after, before=where.before
            )
            stored = await derived_memories(transaction, user_id)
            scope = frozenset(message.id for message in messages)
            profile_diff = await ProfileDiff.load(transaction, user_id, scope)
        kept = [one for one in stored if not is_replaceable(one, scope)]
        language = await user_language(self._database, user_id) or self._settings.language
        replay = Replay(user_id, kept, self._clock.now(), language)
        extractions = await self._extract(user_id, messages, replay, profile_diff) if self._handlers else []
        report: dict[str, Any] = {}
        try:
            async with self._database.user(user_id) as transaction:
                report = await self._replace(transaction, user_id, scope, replay, extractions, language)
                if dry_run:
                    raise DryRunError
        except DryRunError:
            pass
        if not dry_run:
            self._wake()
        return {"messages": len(messages), **report, "applied": not dry_run}

    async def _extract(
        self, user_id: str, messages: Sequence[ExtractedMessage], replay: Replay, profile: ProfileDiff
    ) -> list[UncommittedExtraction]:
        """Extract window after window; each is shown the memories that came of the ones before it."""
        extractions = []
        limit = self._settings.extraction.known_memories
        for entries in self._windows(messages):
            for handler in self._handlers:
                calls: list[LLMCall] = []
                try:
                    extraction = await handler.extract_again(
                        user_id, entries, lambda text: replay.nearest(text, limit), profile.after, calls
                    )
                finally:
                    if calls:
                        async with self._database.user(user_id) as transaction:
                            await add_token_usage(transaction, user_id, OPERATION, calls)
                if extraction.valid is not None:
                    replay.take(extraction.valid.statements)
                    profile.take(extraction.valid, list(extraction.outcome.states), extraction.origin)
                extractions.append(extraction)
        return extractions

    def _windows(self, messages: Sequence[ExtractedMessage]) -> Iterator[list[int]]:
        """Yield the entry numbers of neighboring messages of one session, as many as are extracted together."""
        window: list[ExtractedMessage] = []
        for message in messages:
            if window and (
                message.session_id != window[0].session_id
                or len(window) == self._settings.work.extract_batch
                or sum(m.length for m in window) + message.length > self._settings.extraction.window_size
            ):
                yield [m.entry for m in window]
                window = []
            window.append(message)
        if window:
            yield [m.entry for m in window]

    async def _replace(
        self,
        transaction: Transaction,
        user_id: str,
        scope: frozenset[str],
        replay: Replay,
        extractions: Sequence[UncommittedExtraction],
        language: str,
    ) -> dict[str, Any]:
        """Compare with what is stored by now, under the user's lock, and replace it."""
        derived = replay.derived()
        write = await begin_write(transaction, user_id, len(derived))
        diff = diff_memories(derived, await derived_memories(transaction, user_id), scope, language)
        tokens = EntryTokenizer(self._settings.language)
        await store_learned(transaction, user_id, diff.to_store(), write, tokens=tokens)
        relations = await self._replace_relations(transaction, user_id, scope, extractions, write.now)
        profile_diff = await ProfileDiff.load(transaction, user_id, scope)
        for one in extractions:
            if one.valid is not None:
                profile_diff.take(one.valid, list(one.outcome.states), one.origin)
        profile = await profile_diff.store(transaction, user_id, scope, write.now) if extractions else {}
        await record_outcomes(transaction, user_id, [one.outcome for one in extractions], write.now)
        return {**_report(diff), "relations": relations, "profile": profile}

    async def _replace_relations(
        self,
        transaction: Transaction,
        user_id: str,
        scope: frozenset[str],
        extractions: Sequence[UncommittedExtraction],
        now: datetime,
    ) -> dict[str, list[str]]:
        before = await derived_edges(transaction, user_id)
        derived_again: set[str] = set()
        for one in extractions:
            if one.valid is not None and one.valid.edges:
                stored = await store_relations(transaction, user_id, one.valid.edges, now, one.origin)
                derived_again.update(edge.edge_id for edge in stored)
        if any(one.graph for one in extractions):
            lost = [
                edge_id
                for edge_id, edge in before.items()
                if edge.derived and edge.sources and edge.sources <= scope and edge_id not in derived_again
            ]
            await close_edges(transaction, user_id, lost, now)
        after = await derived_edges(transaction, user_id)
        return {
            "added": [edge.text for edge_id, edge in after.items() if edge_id not in before],
            "changed": [
                edge.text
                for edge_id, edge in after.items()
                if edge_id in before and before[edge_id].version != edge.version
            ],
            "lost": [edge.text for edge_id, edge in before.items() if edge_id not in after],
        }


def _report(diff: MemoryDiff) -> dict[str, Any]:
    def shown(new: NewMemory) -> Mapping[str, Any]:
        return {"content": new.content, "memory_type": new.memory_type, "sources": list(new.sources)}

    return {
        "added": [shown(one.new) for one in diff.added],
        "changed": [
            {
                "id": stored.memory.id,
                "before": stored.memory.content,
                "after": new.new.content,
                "memory_type": stored.memory.memory_type,
                "sources": list(new.new.sources),
            }
            for stored, new in diff.changed
        ],
        "lost": [
            {
                "id": stored.memory.id,
                "content": stored.memory.content,
                "memory_type": stored.memory.memory_type,
            }
            for stored in diff.lost
        ],
        "kept": [
            {
                "id": stored.memory.id,
                "content": stored.memory.content if stored.holds else None,
                "instead_of": new.new.content,
            }
            for stored, new in diff.kept
        ],
        "unchanged": len(diff.unchanged),
    }
