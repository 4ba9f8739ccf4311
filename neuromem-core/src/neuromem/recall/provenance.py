"""What a fact and the message it came from tell twice.

Where a list holds both, the better one keeps its place; the other comes after everything that shows something new.
Two facts of one message are two statements: both keep theirs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.recall.pipeline import Found

REPEATED = 0.5  # of its score is left to what shows nothing new


def mixed(found: Sequence[Found]) -> bool:
    """Tell whether there are messages and what was made of them."""
    messages = {f.hit.id for f in found if f.hit.kind == "message"}
    return any(f.hit.kind == "memory" and not messages.isdisjoint(f.hit.sources) for f in found)


def told_once(found: Sequence[Found]) -> list[Found]:
    """Return the items, best first as they came, with what shows nothing new behind the others."""
    messages: set[str] = set()
    told: set[str] = set()  # by memories
    items = []
    for f in found:
        if f.hit.kind == "message":
            repeats = f.hit.id in told
            messages.add(f.hit.id)
        else:
            repeats = bool(f.hit.sources) and messages.issuperset(f.hit.sources)
            told.update(f.hit.sources)
        items.append(replace(f, score=f.score * REPEATED) if repeats else f)
    return sorted(items, key=_order)


def _order(found: Found) -> tuple[float, str]:
    return -found.score, found.hit.id
