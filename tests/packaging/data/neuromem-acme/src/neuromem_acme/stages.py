"""A retriever that knows abbreviations, and a scorer that prefers statements to questions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import Candidate, RetrievedItem
    from neuromem.plugin import Reader

MEANS = {"nyc": "New York City", "pto": "vacation"}


class Abbreviations:
    """Asks again with the abbreviations of the question spelled out."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return what the spelled-out question finds by words."""
        words = query.text.replace("?", " ").split()
        spelled = [MEANS[word.lower()] for word in words if word.lower() in MEANS]
        return await reader.lexical(replace(query, text=" ".join(spelled))) if spelled else []


class Statements:
    """Tells statements from questions."""

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return 1 for a statement and 0 for a question."""
        return 0.0 if candidate.content.rstrip().endswith("?") else 1.0
