"""Replays an extraction in memory, and compares what comes of it with what is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from neuromem.domain.memories import Added, Learned, Memory, NewMemory, Version
from neuromem.domain.text.tokenizer import tokenize
from neuromem.ingest.extraction.reconcile import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from neuromem.ingest.extraction.reconcile import Statement
    from neuromem.store.conversations.reextraction import DerivedMemory

WHY = "re-extracted"
ALIKE = 0.5  # share of words that two statements about the same messages have in common when they tell the same thing
COMPARED = ("content", "category", "metadata", "subject", "valid_from", "valid_until")


@dataclass(slots=True)
class _One:
    """A memory of the replay: a kept one, or a statement that was made in it."""

    version: Version
    memory: Memory
    words: frozenset[str]
    new: NewMemory | None = None


class Replay:
    """Takes the statements of one window after the other, beside what is kept whatever they say.

    ``language`` is that of the words in which they are compared.
    """

    def __init__(self, user_id: str, kept: Iterable[DerivedMemory], now: datetime, language: str) -> None:
        self._user_id = user_id
        self._now = now
        self._language = language
        self._chains: dict[str, list[_One]] = {
            one.memory.id: [_One(one.version, one.memory, _words(one.memory.content, language))]
            for one in kept
            if one.holds
        }

    def known(self, text: str, most: int) -> list[Memory]:
        """Return the memories that share most words with a text, as far as the replay has come."""
        words = _words(text, self._language)
        found = Counter(
            {
                chain: len(words & ones[-1].words)
                for chain, ones in self._chains.items()
                if ones[-1].version.why is None and words & ones[-1].words
            }
        )
        return [self._chains[chain][-1].memory for chain, _ in found.most_common(most)]

    def take(self, statements: Sequence[Statement]) -> None:
        """Judge statements against what the replay knows."""
        versions = [one.version for ones in self._touched(statements) for one in ones]
        learned = judge(statements, versions)
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
            memory = _memory(self._user_id, added, self._now)
            one = _One(version, memory, _words(added.new.content, self._language), added.new)
            self._chains.setdefault(added.memory_id, []).append(one)

    def derived(self) -> list[Added]:
        """Return what holds in the end, kept ones aside."""
        return [
            Added(str(uuid4()), 1, ones[-1].new, ones[-1].version.digest)
            for ones in self._chains.values()
            if ones[-1].new is not None and ones[-1].version.why is None
        ]

    def _touched(self, statements: Sequence[Statement]) -> list[list[_One]]:
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


@dataclass(slots=True)
class Difference:
    """What an extraction would change: new versions by the old one, what is new, what is not said any more."""

    added: list[Added] = field(default_factory=list)
    changed: list[tuple[DerivedMemory, Added]] = field(default_factory=list)
    lost: list[DerivedMemory] = field(default_factory=list)
    unchanged: list[DerivedMemory] = field(default_factory=list)
    kept: list[tuple[DerivedMemory, Added]] = field(default_factory=list)

    def learned(self, now: datetime) -> Learned:
        """Return what is to be stored."""
        del now
        news = [
            *self.added,
            *(Added(h.memory.id, h.version.version + 1, a.new, a.digest) for h, a in self.changed),
        ]
        ended = [*(held for held, _ in self.changed), *self.lost]
        return Learned(
            [replace(one, new=_marked(one.new)) for one in news], [(held.version, WHY) for held in ended]
        )


def compare(
    derived: Sequence[Added], held: Sequence[DerivedMemory], scope: frozenset[str], language: str
) -> Difference:
    """Compare what was derived anew from the messages of a scope with what is known.

    What a person made, changed, pinned or deleted stays as it is, and nothing that tells the same comes beside it.
    """
    found = Difference()
    replaceable = {one.memory.id: one for one in held if is_replaceable(one, scope)}
    guards = [one for one in held if one.memory.id not in replaceable]
    rest: list[Added] = []
    for new in derived:
        guard = next((one for one in guards if _guards(one, new, language)), None)
        if guard is not None:
            found.kept.append((guard, new))
        else:
            rest.append(new)
    for same in (_equal, partial(_alike, language=language)):
        left = []
        for new in rest:
            old = next((one for one in replaceable.values() if same(one, new)), None)
            if old is None:
                left.append(new)
                continue
            del replaceable[old.memory.id]
            if all(_plain(old.memory, name) == _plain(new.new, name) for name in COMPARED):
                found.unchanged.append(old)
            else:
                found.changed.append((old, new))
        rest = left
    found.added = rest
    found.lost = list(replaceable.values())
    return found


def is_replaceable(one: DerivedMemory, scope: frozenset[str]) -> bool:
    """Tell whether a memory is of extraction alone, and of these messages alone."""
    return one.derived and one.holds and bool(one.sources) and one.sources <= scope


def _guards(one: DerivedMemory, new: Added, language: str) -> bool:
    if one.memory.memory_type != new.new.memory_type:
        return False
    if one.version.digest == new.digest:
        return True
    by_hand = not (one.derived and one.holds)
    return by_hand and _tells_same(one, new, language)


def _equal(one: DerivedMemory, new: Added) -> bool:
    return one.memory.memory_type == new.new.memory_type and one.version.digest == new.digest


def _alike(one: DerivedMemory, new: Added, language: str) -> bool:
    return one.memory.memory_type == new.new.memory_type and _tells_same(one, new, language)


def _tells_same(one: DerivedMemory, new: Added, language: str) -> bool:
    if one.version.unique_key is not None and one.version.unique_key == new.new.unique_key:
        return True
    if not one.sources & set(new.new.sources):
        return False
    words = _words(new.new.content, language)
    return any(_share(words, _words(text, language)) >= ALIKE for text in one.said)


def _share(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0


def _words(text: str, language: str) -> frozenset[str]:
    return frozenset(tokenize(text, language))


def _plain(value: Memory | NewMemory, name: str) -> Any:
    found = getattr(value, name)
    return dict(found or {}) if name == "metadata" else found


def _marked(new: NewMemory) -> NewMemory:
    return replace(new, origin={**(new.origin or {}), "why": WHY})


def _memory(user_id: str, added: Added, now: datetime) -> Memory:
    new = added.new
    return Memory(
        id=added.memory_id,
        user_id=user_id,
        version=added.version,
        memory_type=new.memory_type,
        content=new.content,
        metadata=dict(new.metadata or {}),
        created_at=now,
        superseded_at=None,
        occurred_at=new.occurred_at,
        valid_from=new.valid_from,
        valid_until=new.valid_until,
        importance=new.importance,
        confidence=new.confidence,
        valence=new.valence,
        arousal=new.arousal,
        emotion=new.emotion,
        category=new.category,
        origin=dict(new.origin or {}),
        sources=new.sources,
        subject=new.subject,
        entities=new.entities,
    )
