"""Retrievers that know abbreviations and nicknames, and a scorer that prefers statements to questions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import Candidate, RetrievedItem
    from neuromem.plugin import Reader

MEANS = {"nyc": "New York City", "pto": "vacation"}
NICKNAMES = {"bob": "Robert", "liz": "Elizabeth"}
SURE = 0.5  # a nickname means somebody else in one of two cases


class Abbreviations:
    """Asks again with the abbreviations of the question spelled out."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return what the spelled-out question finds by words."""
        return await _find(MEANS, query, reader)


class Nicknames:
    """Asks again with the full names of people; half as sure as words are, which its `StageSpec` calls absolute."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return what the full names find by words."""
        found = await _find(NICKNAMES, query, reader)
        return [replace(one, fusion_score=SURE * (one.fusion_score or 0.0)) for one in found]


async def _find(meanings: Mapping[str, str], query: Query, reader: Reader) -> Sequence[Candidate]:
    words = query.text.replace("?", " ").split()
    spelled = [meanings[word.lower()] for word in words if word.lower() in meanings]
    text = " ".join(spelled)
    return await reader.lexical(replace(query, text=text, topic=text)) if spelled else []


class Statements:
    """Tells statements from questions."""

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        """Return 1 for a statement and 0 for a question."""
        return 0.0 if candidate.content.rstrip().endswith("?") else 1.0
