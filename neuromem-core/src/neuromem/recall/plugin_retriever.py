"""What the retrievers of plugins bring: checked in its form, and against what the question may see."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from neuromem.domain.query import KINDS
from neuromem.domain.recall_result import Candidate
from neuromem.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import Kind, Query
    from neuromem.plugin.ports import Reader
    from neuromem.plugin.stages import Retriever


class ForeignRetriever:
    """A plugin's retriever: what it brings twice counts once, what the question may not see does not come out.

    Ours read through ports that keep to the filters; a plugin may ask anybody.
    """

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return what the retriever found; raises `PluginError` for what is no candidate."""
        found: dict[tuple[Kind, str], Candidate] = {}
        for brought in await self._retriever.candidates(query, reader):
            candidate = _checked(brought)
            found.setdefault((candidate.kind, candidate.id), candidate)
        visible = await reader.visible(query, [*found]) if found else ()
        return [candidate for key, candidate in found.items() if key in visible][: query.depth]

    async def close(self) -> None:
        """Close the plugin's retriever, where it can be closed."""
        if (close := getattr(self._retriever, "close", None)) is not None:
            await close()


def _checked(brought: object) -> Candidate:
    if not isinstance(brought, Candidate):
        raise PluginError(f"It returned {brought!r:.100}, which is no Candidate.")
    if brought.kind not in KINDS:
        raise PluginError(f"It returned the kind {brought.kind!r:.100}; use one of {', '.join(KINDS)}.")
    if not _is_finite(brought.score):
        raise PluginError(f"It returned the score {brought.score!r:.100}; it must be a finite number.")
    if brought.evidence is not None and not _is_finite(brought.evidence):
        raise PluginError(
            f"It returned the evidence {brought.evidence!r:.100}; it must be a finite number or None."
        )
    if brought.relevance is not None and not (_is_finite(brought.relevance) and 0 <= brought.relevance <= 1):
        raise PluginError(
            f"It returned the relevance {brought.relevance!r:.100}; it lies in [0, 1], or is None."
        )
    try:
        canonical = str(UUID(brought.id))
    except (ValueError, TypeError, AttributeError):
        raise PluginError(
            f"It returned the id {brought.id!r:.100}, which neuromem gave to nothing."
        ) from None
    return brought if canonical == brought.id else replace(brought, id=canonical)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except TypeError:  # whatever the annotations say
        return False
