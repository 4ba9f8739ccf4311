"""What a fact and the message it came from tell twice.

Where a list holds both, the better one keeps its place; the other comes after everything that shows something new.
Two facts of one message are two statements: the second steps back a little.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.recall.pipeline import Found

REPEATED = 0.5  # of its score is left to what shows nothing new
AGAIN = 0.8  # of its score is left to another statement of the same messages


def told_once(found: Sequence[Found]) -> list[Found]:
    """Return the items, best first as they came, with what shows nothing new behind the others."""
    messages: set[str] = set()
    told: set[str] = set()  # by memories
    items = []
    for f in found:
        left = 1.0
        if f.hit.kind == "message":
            left = REPEATED if f.hit.id in told else 1.0
            messages.add(f.hit.id)
        elif f.hit.sources:
            if messages.issuperset(f.hit.sources):
                left = REPEATED
            elif told.issuperset(f.hit.sources):
                left = AGAIN
            told.update(f.hit.sources)
        items.append(replace(f, score=f.score * left, left=left) if left < 1.0 else f)
    return sorted(items, key=_order)


def _order(found: Found) -> tuple[float, str]:
    return -found.score, found.hit.id
