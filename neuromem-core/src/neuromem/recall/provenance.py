"""What a fact and the message it came from tell each other.

A message of which a found fact was made gains from the fact, and a little the other way round. Of items that show the
same messages the best keeps its place; the others come after everything that shows something new.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.recall.pipeline import Found

TO_MESSAGE, TO_FACT = 0.1, 0.05  # of the other's score
REPEATED = 0.5  # of its score is left to what shows nothing new


def mixed(found: Sequence[Found]) -> bool:
    """Tell whether there are messages and what was made of them."""
    messages = {f.hit.id for f in found if f.hit.kind == "message"}
    return any(f.hit.kind == "memory" and not messages.isdisjoint(f.hit.sources) for f in found)


def joined(found: Sequence[Found]) -> list[Found]:
    """Return the items with their scores joined, best first."""
    message = {f.hit.id: f.score for f in found if f.hit.kind == "message"}
    fact: dict[str, float] = {}
    for f in found:
        if f.hit.kind == "memory":
            for source in f.hit.sources:
                fact[source] = max(fact.get(source, 0.0), f.score)
    lifted = []
    for f in found:
        if f.hit.kind == "message":
            gain = TO_MESSAGE * fact.get(f.hit.id, 0.0)
        else:
            gain = TO_FACT * max((message.get(source, 0.0) for source in f.hit.sources), default=0.0)
        lifted.append(replace(f, score=(f.score + gain) / (1.0 + TO_MESSAGE)))
    lifted.sort(key=_order)
    shown: set[str] = set()
    told = []
    for f in lifted:
        repeats = bool(f.hit.sources) and shown.issuperset(f.hit.sources)
        told.append(replace(f, score=f.score * REPEATED) if repeats else f)
        shown.update(f.hit.sources)
    return sorted(told, key=_order)


def _order(found: Found) -> tuple[float, str]:
    return -found.score, found.hit.id
