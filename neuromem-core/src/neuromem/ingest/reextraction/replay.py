"""Replays extractions without the database: memories as they become, window after window."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.memories import Added, Memory, Version
from neuromem.domain.text.same_statement import words_of
from neuromem.ingest.extraction.reconcile import reconcile_statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from neuromem.domain.memories import NewMemory
    from neuromem.ingest.extraction.reconcile import Statement
    from neuromem.store.conversations.reextraction import DerivedMemory


@dataclass(slots=True)
class _ReplayedVersion:
    """A version of a memory in the replay; ``new`` is None for one that is stored and kept."""

    version: Version
    memory: Memory
    words: frozenset[str]
    new: NewMemory | None = None


class Replay:
    """Reconciles the statements of one window after the other with the kept memories and with each other.

    Args:
        user_id: The user.
        kept: The stored memories that are not replaced.
        now: The time at which new versions begin.
        language: The language of the words in which memories are compared with messages.
    """

    def __init__(self, user_id: str, kept: Iterable[DerivedMemory], now: datetime, language: str) -> None:
        self._user_id = user_id
        self._now = now
        self._language = language
        self._chains: dict[str, list[_ReplayedVersion]] = {
            one.memory.id: [_ReplayedVersion(one.version, one.memory, words_of(one.memory.content, language))]
            for one in kept
            if one.holds
        }

    def nearest(self, text: str, limit: int) -> list[Memory]:
        """Return the memories, as they are by now, that share most words with a text."""
        words = words_of(text, self._language)
        found = Counter(
            {
                chain: len(words & ones[-1].words)
                for chain, ones in self._chains.items()
                if ones[-1].version.why is None and words & ones[-1].words
            }
        )
        return [self._chains[chain][-1].memory for chain, _ in found.most_common(limit)]

    def take(self, statements: Sequence[Statement]) -> None:
        """Reconcile the statements of a window."""
        versions = [one.version for ones in self._touched(statements) for one in ones]
        learned = reconcile_statements(statements, versions)
        for version, why in learned.superseded:
            self._end(version, why)
        for (chain, number), sources in learned.reinforced.items():
            for one in self._chains.get(chain, ()):
                if one.version.version == number and one.new is not None:
                    merged = tuple(dict.fromkeys((*one.new.sources, *sources)))
                    one.new = replace(one.new, sources=merged)
        for added in learned.added:
            version = Version(
                added.memory_id,
                added.version,
                added.new.memory_type,
                0,
                added.digest,
                added.new.unique_key,
                added.ended,
            )
            memory = added.new.stored_as(self._user_id, added.memory_id, added.version, self._now)
            one = _ReplayedVersion(version, memory, words_of(added.new.content, self._language), added.new)
            self._chains.setdefault(added.memory_id, []).append(one)

    def derived(self) -> list[Added]:
        """Return the new memories that are current in the end, without the kept ones."""
        return [
            Added(str(uuid4()), 1, ones[-1].new, ones[-1].version.digest)
            for ones in self._chains.values()
            if ones[-1].new is not None and ones[-1].version.why is None
        ]

    def _touched(self, statements: Sequence[Statement]) -> list[list[_ReplayedVersion]]:
        digests = {statement.digest for statement in statements}
        unique_keys = {statement.new.unique_key for statement in statements} - {None}
        targets = {statement.target for statement in statements}
        return [
            ones
            for chain, ones in self._chains.items()
            if chain in targets
            or any(one.version.digest in digests for one in ones)
            or (ones[-1].version.unique_key in unique_keys and ones[-1].version.why is None)
        ]

    def _end(self, version: Version, why: str) -> None:
        for one in self._chains[version.memory_id]:
            if one.version.version == version.version:
                one.version = replace(one.version, why=why)
