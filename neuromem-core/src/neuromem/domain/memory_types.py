"""The types of memory, each with everything in which it differs from the others.

To add a type: a name in `MemoryType`, a specification in `MEMORY_TYPE_SPECS`, and a migration that allows the name in
``memories.memory_type``. What makes memories of the new type (an extractor, the digest, a person) is up to you;
everything that treats types differently asks the specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

MemoryType = Literal["fact", "episodic", "insight", "general"]


@dataclass(frozen=True, slots=True)
class MemoryTypeSpec:
    """How memories of one type are treated.

    Attributes:
        name: What is stored in ``memory_type`` and asked for by `recall`.
        title: The heading over such memories in a prompt block.
        extracted: An extractor may write it; an extracted memory of any other type is rejected.
        counted_as: What several of them are called in the counts of an extraction.
        derived: It is concluded from other memories. Its confidence comes from its evidence, and it is left out where
            memories are concluded from: in the digest, in emotion profiles, and when messages are extracted again.
        happens: ``occurred_at`` says when it happened, so that the same text at another moment is another memory.
            Otherwise it says when the memory was stated, which may be more than once, and an extracted memory
            without a date gets that of its message.
        dated_when_known: An extractor is shown the date of such a known memory.
        single_valued: It may state a relation of which its subject has one at a time, and supersedes the one before.
    """

    name: MemoryType
    title: str
    extracted: bool = True
    counted_as: str = "memories"
    derived: bool = False
    happens: bool = True
    dated_when_known: bool = False
    single_valued: bool = False


FACT = MemoryTypeSpec("fact", "Facts", counted_as="facts", happens=False, single_valued=True)
EPISODIC = MemoryTypeSpec("episodic", "Episodes", counted_as="episodes", dated_when_known=True)
INSIGHT = MemoryTypeSpec("insight", "Insights", extracted=False, derived=True)
GENERAL = MemoryTypeSpec("general", "Notes")

MEMORY_TYPE_SPECS: tuple[MemoryTypeSpec, ...] = (FACT, EPISODIC, INSIGHT, GENERAL)
"""All types, in the order in which they are named to people."""

MEMORY_TYPES: tuple[MemoryType, ...] = tuple(spec.name for spec in MEMORY_TYPE_SPECS)

RECALLED_TYPES: tuple[str, ...] = (*MEMORY_TYPES, "message", "document")
"""What the results of `recall` can be: memories, messages as they were written, and passages of documents."""

_BY_NAME = {spec.name: spec for spec in MEMORY_TYPE_SPECS}


def memory_type_spec(name: MemoryType) -> MemoryTypeSpec:
    """Return the specification of a type; raises `KeyError` when there is no such type."""
    return _BY_NAME[name]


def derived_types(specs: Iterable[MemoryTypeSpec] = MEMORY_TYPE_SPECS) -> tuple[MemoryType, ...]:
    """Return the names of the types that are concluded from other memories."""
    return tuple(spec.name for spec in specs if spec.derived)
