"""Checks what the retrievers of plugins return: its form, and whether the question may see it."""

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


class CheckedRetriever:
    """A plugin's retriever: repeated candidates count once, those that the question may not see are left out.

    A plugin may ask anybody, so this costs one statement for each retriever and question. The retrievers that the core
    itself brings return what the reader gave them, which has passed the filters, and are not checked again.
    """

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return what the retriever found and the question may see; raises `PluginError` for what is no candidate."""
        found: dict[tuple[Kind, str], Candidate] = {}
        for returned in await self._retriever.candidates(query, reader):
            candidate = _checked(returned)
            found.setdefault((candidate.kind, candidate.id), candidate)
        visible = await reader.visible(query, [*found]) if found else ()
        return [candidate for key, candidate in found.items() if key in visible][: query.depth]

    async def close(self) -> None:
        """Close the plugin's retriever, where it can be closed."""
        if (close := getattr(self._retriever, "close", None)) is not None:
            await close()


def _checked(returned: object) -> Candidate:
    """Return a candidate with its id in canonical form; raises `PluginError` for what cannot be one."""
    if not isinstance(returned, Candidate):
        raise PluginError(f"It returned {returned!r:.100}, which is no Candidate.")
    if returned.kind not in KINDS:
        raise PluginError(f"It returned the kind {returned.kind!r:.100}; use one of {', '.join(KINDS)}.")
    if not _is_finite(returned.score):
        raise PluginError(f"It returned the score {returned.score!r:.100}; it must be a finite number.")
    if returned.fusion_score is not None and not _is_finite(returned.fusion_score):
        raise PluginError(
            f"It returned the fusion_score {returned.fusion_score!r:.100}; it must be a finite number or None."
        )
    if returned.relevance is not None and not (
        _is_finite(returned.relevance) and 0 <= returned.relevance <= 1
    ):
        raise PluginError(
            f"It returned the relevance {returned.relevance!r:.100}; it lies in [0, 1], or is None."
        )
    try:
        canonical = str(UUID(returned.id))
    except (ValueError, TypeError, AttributeError):
        raise PluginError(
            f"It returned the id {returned.id!r:.100}, which neuromem gave to nothing."
        ) from None
    return returned if canonical == returned.id else replace(returned, id=canonical)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except TypeError:  # a plugin may return anything
        return False
