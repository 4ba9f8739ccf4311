"""``reextract()``: messages are extracted anew, and what came of it replaces what came of them before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.ingest.reextraction.profile_diff import Reprofile
from neuromem.ingest.reextraction.replay import Replay, compare, is_replaceable
from neuromem.store.conversations.reextraction import (
    ExtractedMessage,
    close_edges,
    derived_edges,
    derived_memories,
    messages_to_reextract,
    record_outcomes,
)
from neuromem.store.database.users import begin_write, user_language
from neuromem.store.graph.write import store_relations
from neuromem.store.memories.write import store_learned
from neuromem.store.queue.token_usage import add_token_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from neuromem.config import Settings
    from neuromem.domain.memories import NewMemory
    from neuromem.ingest.extraction.handler import ExtractionHandler, Reread
    from neuromem.ingest.reextraction.replay import Difference
    from neuromem.observe import Call
    from neuromem.plugin.context import Clock
    from neuromem.store.database.database import Database, Transaction

OPERATION = "re-extraction"


@dataclass(frozen=True, slots=True)
class Where:
    """Which messages: of a session, said in a span of time; None leaves open."""

    session: str | None = None
    after: datetime | None = None
    before: datetime | None = None


class _DryRunError(Exception):
    """Rolls back what was only tried."""


class ReextractionService:
    """Extracts anew with the extractors in force; no call is made inside a transaction."""

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
        """Return what changes, which has happened unless this is a dry run."""
        async with self._database.reader(user_id) as transaction:
            said = await messages_to_reextract(
                transaction, user_id, session=where.session, after=where.after, before=where.before
            )
            held = await derived_memories(transaction, user_id)
            scope = frozenset(message.id for message in said)
            reprofile = await Reprofile.of(transaction, user_id, scope)
        kept = [one for one in held if not is_replaceable(one, scope)]
        language = await user_language(self._database, user_id) or self._settings.language
        replay = Replay(user_id, kept, self._clock.now(), language)
        read = await self._read(user_id, said, replay, reprofile) if self._handlers else []
        report: dict[str, Any] = {}
        try:
            async with self._database.user(user_id) as transaction:
                report = await self._replace(transaction, user_id, scope, replay, read, language)
                if dry_run:
                    raise _DryRunError
        except _DryRunError:
            pass
        if not dry_run:
            self._wake()
        return {"messages": len(said), **report, "applied": not dry_run}

    async def _read(
        self, user_id: str, said: Sequence[ExtractedMessage], replay: Replay, profile: Reprofile
    ) -> list[Reread]:
        """Extract window after window; each sees what the ones before it told."""
        read = []
        most = self._settings.extraction.known_memories
        for entries in self._windows(said):
            for handler in self._handlers:
                calls: list[Call] = []
                try:
                    one = await handler.reread(
                        user_id, entries, lambda text: replay.known(text, most), profile.now, calls
                    )
                finally:
                    if calls:
                        async with self._database.user(user_id) as transaction:
                            await add_token_usage(transaction, user_id, OPERATION, calls)
                if one.admitted is not None:
                    replay.take(one.admitted.statements)
                    profile.take(one.admitted, list(one.ended.states), one.origin)
                read.append(one)
        return read

    def _windows(self, said: Sequence[ExtractedMessage]) -> Iterator[list[int]]:
        """Return neighbors of one session, as many as are extracted together."""
        window: list[ExtractedMessage] = []
        for message in said:
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
        read: Sequence[Reread],
        language: str,
    ) -> dict[str, Any]:
        """Compare with what is known now, under the user's lock, and replace it."""
        derived = replay.derived()
        moment = await begin_write(transaction, user_id, len(derived))
        found = compare(derived, await derived_memories(transaction, user_id), scope, language)
        await store_learned(
            transaction,
            user_id,
            found.learned(moment.now),
            moment,
            tokens=EntryTokenizer(self._settings.language),
        )
        relations = await self._relations(transaction, user_id, scope, read, moment.now)
        reprofile = await Reprofile.of(transaction, user_id, scope)
        for one in read:
            if one.admitted is not None:
                reprofile.take(one.admitted, list(one.ended.states), one.origin)
        profile = await reprofile.store(transaction, user_id, scope, moment.now) if read else {}
        await record_outcomes(transaction, user_id, [one.ended for one in read], moment.now)
        return {**_shown(found), "relations": relations, "profile": profile}

    async def _relations(
        self,
        transaction: Transaction,
        user_id: str,
        scope: frozenset[str],
        read: Sequence[Reread],
        now: datetime,
    ) -> dict[str, list[str]]:
        before = await derived_edges(transaction, user_id)
        again: set[str] = set()
        for one in read:
            if one.admitted is not None and one.admitted.edges:
                put = await store_relations(transaction, user_id, one.admitted.edges, now, one.origin)
                again.update(related.edge_id for related in put)
        if any(one.graph for one in read):
            gone = [
                edge_id
                for edge_id, edge in before.items()
                if edge.derived and edge.sources and edge.sources <= scope and edge_id not in again
            ]
            await close_edges(transaction, user_id, gone, now)
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


def _shown(found: Difference) -> dict[str, Any]:
    def told(new: NewMemory) -> Mapping[str, Any]:
        return {"content": new.content, "memory_type": new.memory_type, "sources": list(new.sources)}

    return {
        "added": [told(one.new) for one in found.added],
        "changed": [
            {
                "id": held.memory.id,
                "before": held.memory.content,
                "after": new.new.content,
                "memory_type": held.memory.memory_type,
                "sources": list(new.new.sources),
            }
            for held, new in found.changed
        ],
        "lost": [
            {"id": held.memory.id, "content": held.memory.content, "memory_type": held.memory.memory_type}
            for held in found.lost
        ],
        "kept": [
            {
                "id": held.memory.id,
                "content": held.memory.content if held.holds else None,
                "instead_of": new.new.content,
            }
            for held, new in found.kept
        ],
        "unchanged": len(found.unchanged),
    }
