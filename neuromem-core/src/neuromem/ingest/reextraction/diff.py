"""Compares newly derived memories with the stored ones: added, changed, lost, unchanged, or kept for a person."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from neuromem.domain.memories import Added, Learned
from neuromem.domain.text.same_statement import word_overlap, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.memories import Memory, NewMemory
    from neuromem.store.conversations.reextraction import DerivedMemory

REEXTRACTED = "re-extracted"
"""Why a replaced version ended."""
MIN_OVERLAP = 0.5
"""The share of common words from which on two statements about the same messages are taken for one statement."""
COMPARED_FIELDS = ("content", "category", "metadata", "subject", "valid_from", "valid_until")


@dataclass(slots=True)
class MemoryDiff:
    """What a new extraction changes.

    Attributes:
        added: New memories.
        changed: Stored memories, each with its next version.
        lost: Stored memories that were not derived again.
        unchanged: Stored memories that were derived again.
        kept: Memories that a person made, changed, pinned or deleted, each with what was derived in its place.
    """

    added: list[Added] = field(default_factory=list)
    changed: list[tuple[DerivedMemory, Added]] = field(default_factory=list)
    lost: list[DerivedMemory] = field(default_factory=list)
    unchanged: list[DerivedMemory] = field(default_factory=list)
    kept: list[tuple[DerivedMemory, Added]] = field(default_factory=list)

    def to_store(self) -> Learned:
        """Return the versions to add and to end."""
        next_versions = [
            Added(stored.memory.id, stored.version.version + 1, new.new, new.digest)
            for stored, new in self.changed
        ]
        ended = [*(stored for stored, _ in self.changed), *self.lost]
        return Learned(
            [replace(added, new=_with_reason(added.new)) for added in (*self.added, *next_versions)],
            [(stored.version, REEXTRACTED) for stored in ended],
        )


def diff_memories(
    derived: Sequence[Added], stored: Sequence[DerivedMemory], scope: frozenset[str], language: str
) -> MemoryDiff:
    """Compare what was derived from the messages of a scope with the stored memories.

    What a person made, changed, pinned or deleted stays as it is, and nothing that states the same is added to it.

    Args:
        derived: The new memories.
        stored: The current memories, and those that a person has deleted.
        scope: Ids of the messages that were extracted again.
        language: The language of the words in which wordings are compared.
    """
    diff = MemoryDiff()
    replaceable = {memory.memory.id: memory for memory in stored if is_replaceable(memory, scope)}
    protected = [memory for memory in stored if memory.memory.id not in replaceable]
    unmatched: list[Added] = []
    for new in derived:
        by_person = next((memory for memory in protected if _takes_the_place_of(memory, new, language)), None)
        if by_person is not None:
            diff.kept.append((by_person, new))
        else:
            unmatched.append(new)
    for matches in (_states_the_same, partial(_is_reworded, language=language)):
        left = []
        for new in unmatched:
            old = next((memory for memory in replaceable.values() if matches(memory, new)), None)
            if old is None:
                left.append(new)
                continue
            del replaceable[old.memory.id]
            if all(_value(old.memory, name) == _value(new.new, name) for name in COMPARED_FIELDS):
                diff.unchanged.append(old)
            else:
                diff.changed.append((old, new))
        unmatched = left
    diff.added = unmatched
    diff.lost = list(replaceable.values())
    return diff


def is_replaceable(memory: DerivedMemory, scope: frozenset[str]) -> bool:
    """Return whether a memory was derived by extraction alone, and from messages of the scope alone."""
    return memory.derived and memory.holds and bool(memory.sources) and memory.sources <= scope


def _takes_the_place_of(memory: DerivedMemory, new: Added, language: str) -> bool:
    """Return whether a memory that is not replaced makes a new one superfluous.

    One that extraction derived from other messages too does so only if it states the very same; one that a person
    made, changed or deleted also does if it is another wording.
    """
    if _states_the_same(memory, new):
        return True
    by_person = not (memory.derived and memory.holds)
    return by_person and _is_reworded(memory, new, language)


def _states_the_same(memory: DerivedMemory, new: Added) -> bool:
    return memory.memory.memory_type == new.new.memory_type and memory.version.digest == new.digest


def _is_reworded(memory: DerivedMemory, new: Added, language: str) -> bool:
    """Return whether two memories have one unique key, or are two wordings of what the same messages say."""
    if memory.memory.memory_type != new.new.memory_type:
        return False
    if memory.version.unique_key is not None and memory.version.unique_key == new.new.unique_key:
        return True
    if not memory.sources & set(new.new.sources):
        return False
    words = words_of(new.new.content, language)
    return any(word_overlap(words, words_of(text, language)) >= MIN_OVERLAP for text in memory.contents)


def _value(memory: Memory | NewMemory, name: str) -> Any:
    value = getattr(memory, name)
    return dict(value or {}) if name == "metadata" else value


def _with_reason(new: NewMemory) -> NewMemory:
    return replace(new, origin={**(new.origin or {}), "why": REEXTRACTED})
