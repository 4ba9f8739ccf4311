"""The built-in retrievers: each asks the reader for one kind of candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import Candidate
    from neuromem.plugin.ports import Reader


class VectorRetriever:
    """Candidates by cosine similarity to the question."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return the nearest entries."""
        return await reader.vector(query)


class LexicalRetriever:
    """Candidates by BM25."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return the entries that share words with the question."""
        return await reader.lexical(query)


class GraphRetriever:
    """The sources of the relations of named people and things; none while the graph is off."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return the sources of the relations."""
        return await reader.related(query) if query.graph else []


class ConversationRetriever:
    """The turns around what was found: the answer to a matching question, or what it refers to.

    They have no score of their own; fusion gives them a share of their neighbors' scores.
    """

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Return the turns around the found ones."""
        return await reader.around(query)
