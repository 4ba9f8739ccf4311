"""Demotes what shows nothing new: a fact beside its message, a second fact of one message, two texts that say the same.

Where an answer holds a message and a memory derived from it, the better one keeps its place and the other comes after
everything that shows something new. Two memories of one message are two statements: the second loses a little.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from neuromem.recall.results import best_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.recall_result import RetrievedItem
    from neuromem.recall.results import Found

REPEATED = 0.5  # of its score is kept by what shows nothing new
SAME_SOURCE = 0.8  # of its score is kept by another statement derived from the same messages


def statement(hit: RetrievedItem) -> str:
    """Return what an item says, so that texts which differ in case, spaces or a final stop are equal."""
    return " ".join(hit.content.casefold().split()).rstrip(".!?。！？ ")


def demote_duplicates(found: Sequence[Found]) -> list[Found]:
    """Return the items, given best first, in their order after what shows nothing new has lost a part of its score."""
    messages: set[str] = set()  # that are shown
    derived_from: set[str] = set()  # messages that memories shown were derived from
    items = []
    for f in found:
        kept = 1.0
        if f.hit.kind == "message":
            kept = REPEATED if f.hit.id in derived_from else 1.0
            messages.add(f.hit.id)
        elif f.hit.sources:
            if messages.issuperset(f.hit.sources):
                kept = REPEATED
            elif derived_from.issuperset(f.hit.sources):
                kept = SAME_SOURCE
            derived_from.update(f.hit.sources)
        items.append(replace(f, score=f.score * kept, kept=kept) if kept < 1.0 else f)
    return sorted(items, key=best_first)
