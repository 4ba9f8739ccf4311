"""Implements the ports that recall reads through, `neuromem.plugin.ports.Reader` and `neuromem.plugin.ports.Search`.

Each method says in its port what it returns; how it is found is in the module that it calls.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from neuromem.domain.recall_result import Candidate
from neuromem.store.retrieval.explain import exclusion_reason, is_embedded
from neuromem.store.retrieval.graph_expansion import candidates_of_relations, relations_of_question
from neuromem.store.retrieval.hybrid_search import HybridSearch
from neuromem.store.retrieval.hydrate import hydrate, visible_entries
from neuromem.store.retrieval.neighbors import turns_around
from neuromem.store.retrieval.query_vector import QueryVectors
from neuromem.store.retrieval.read_transaction import ReadTransaction
from neuromem.store.retrieval.relevance import lexical_trust
from neuromem.store.retrieval.user_snapshot import UserSnapshots
from neuromem.store.search_index.entries import KIND_NAMES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set

    from neuromem.config import Settings
    from neuromem.domain.graph import Edge
    from neuromem.domain.query import Kind, Query, UserSnapshot
    from neuromem.domain.recall_result import Fused, RetrievedItem, Turn, VectorSearch
    from neuromem.store.database.database import Database
    from neuromem.store.retrieval.hybrid_query import ScoredEntry
    from neuromem.store.search_index.vectors import ActiveSpaces


class StoreReader:
    """Reads for one question, all of it in one `ReadTransaction`; see `neuromem.plugin.ports.Reader`.

    Args:
        database: The database.
        settings: The settings of the `NeuroMemory`.
        spaces: The embedding spaces whose model this process has.
        user_id: The user who asks.
        embed: Returns the embedding of a text in the space with this number.
        snapshots: What is known of users from their last answers.
        with_vectors: Whether a retriever surely wants vectors, so that `lexical` searches them in the same statement.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        spaces: ActiveSpaces,
        user_id: str,
        embed: Callable[[int, str], Awaitable[Sequence[float]]],
        snapshots: UserSnapshots,
        *,
        with_vectors: bool,
    ) -> None:
        self._user_id = user_id
        self._spaces = spaces
        self._snapshots = snapshots
        self._with_vectors = with_vectors
        self._reading = ReadTransaction(database, user_id, settings.recall.timeout, snapshots)
        self._vectors = QueryVectors(embed)
        self._hybrid = HybridSearch(
            database, settings, user_id, spaces, snapshots, self._reading, self._vectors
        )
        self._relations: list[Edge] | None = None

    async def lexical(self, query: Query) -> Sequence[Candidate]:
        """Return the entries that share words with the question, best BM25 score first."""
        found = await self._hybrid.entries(query, with_vectors=self._with_vectors)
        scored = [(entry, entry.score, relevance) for entry, relevance in found if entry.score is not None]
        best_score = max((score for _, score, _ in scored), default=0.0) or 1.0
        scale = lexical_trust(entry for entry, _, _ in scored) / best_score
        candidates = [
            _candidate(entry, score, relevance, score * scale, entry.words)
            for entry, score, relevance in scored
        ]
        candidates.sort(key=_best_first)
        return candidates

    async def vector(self, query: Query) -> Sequence[Candidate]:
        """Return the entries nearest to the question's embedding, best cosine first.

        Raises the error of the embedding, or `EmbeddingSpaceError` when this process lacks the active space's model.
        """
        # Asked for here so that its error is this retriever's alone: the hybrid search goes on without a vector.
        await self._vectors.get(query, self._spaces.current)
        found = await self._hybrid.entries(query, with_vectors=True)
        if self._hybrid.space_error is not None:
            raise self._hybrid.space_error
        candidates = [
            _candidate(entry, entry.cosine, relevance, entry.centered_cosine)
            for entry, relevance in found
            if entry.cosine is not None
        ]
        candidates.sort(key=_best_first)
        return candidates

    def search(self, query: Query) -> VectorSearch:
        """Return how the nearest entries were found."""
        return self._hybrid.vector_search(query)

    async def around(self, query: Query) -> Sequence[Candidate]:
        """Return the turns before and after what words and vectors found, with scores of 0."""
        found = await self._hybrid.entries(query, with_vectors=self._with_vectors)
        return [_candidate(entry, 0.0) for entry, _ in found if entry.session_id is not None]

    async def relations(self, query: Query) -> Sequence[Edge]:
        """Return the relations of whom and what the question names; empty when the graph is off."""
        if not query.graph:
            return []
        if self._relations is None:
            async with self._reading.statement(query) as transaction:
                self._relations = await relations_of_question(transaction, query)
        return self._relations

    async def related(self, query: Query) -> Sequence[Candidate]:
        """Return the messages and memories that those relations come from, the nearest relation first."""
        edges = await self.relations(query)
        if not edges:
            return []
        async with self._reading.statement(query) as transaction:
            return await candidates_of_relations(transaction, query, edges)

    async def about(self, query: Query) -> UserSnapshot:
        """Return what is known of the user, in the transaction of this reader."""
        if self._hybrid.snapshot is None:
            async with self._reading.statement(query) as transaction:
                self._hybrid.snapshot = await self._snapshots.read(
                    transaction, self._user_id, query.filters.as_of
                )
        return self._hybrid.snapshot

    async def turns(
        self, query: Query, hits: Sequence[RetrievedItem], reach: int
    ) -> Mapping[str, Sequence[Turn]]:
        """Return up to ``reach`` turns before and after each message, by the message's id."""
        async with self._reading.statement(query) as transaction:
            return await turns_around(transaction, query.user_id, hits, reach, query.filters.as_of)

    async def visible(self, query: Query, keys: Sequence[tuple[Kind, str]]) -> Set[tuple[Kind, str]]:
        """Return those of the given entries, by kind and id, that the question may see."""
        async with self._reading.statement(query) as transaction:
            return await visible_entries(transaction, query, keys)

    async def load(self, query: Query, found: Sequence[Fused]) -> Sequence[RetrievedItem]:
        """Return what is stored about fused candidates; what the question may not see is left out."""
        if not found:
            return []
        async with self._reading.statement(query) as transaction:
            return await hydrate(transaction, query, found)

    async def close(self) -> None:
        """Give the connection back."""
        await self._reading.end()


class StoreSearch:
    """Opens readers, and keeps what their answers knew of users; see `neuromem.plugin.ports.Search`.

    Args:
        database: The database.
        settings: The settings of the `NeuroMemory`.
        spaces: The embedding spaces whose model this process has.
    """

    def __init__(self, database: Database, settings: Settings, spaces: ActiveSpaces) -> None:
        self._database = database
        self._settings = settings
        self._spaces = spaces
        self._snapshots = UserSnapshots(database, settings.vectors.exact_limit)

    async def known_snapshot(self, user_id: str) -> UserSnapshot:
        """Return what is known of a user before anything is searched; it may be as old as the last answer."""
        return await self._snapshots.last_or_read(user_id)

    async def exclusion_reason(self, query: Query, item: str) -> tuple[str, str] | None:
        """Return what keeps an item out of the answer whatever its words and vector, or None.

        Raises `NotFoundError` when the user has no such item.
        """
        async with self._database.reader(query.user_id) as transaction:
            return await exclusion_reason(transaction, query, item)

    async def is_embedded(self, query: Query, item: str) -> bool:
        """Return whether an item has a vector in the active embedding space."""
        async with self._database.reader(query.user_id) as transaction:
            return await is_embedded(transaction, query, item)

    @asynccontextmanager
    async def open(
        self, user_id: str, embed: Callable[[int, str], Awaitable[Sequence[float]]], *, with_vectors: bool
    ) -> AsyncIterator[StoreReader]:
        """Open a reader for one question; the port describes the arguments."""
        reader = StoreReader(
            self._database,
            self._settings,
            self._spaces,
            user_id,
            embed,
            self._snapshots,
            with_vectors=with_vectors,
        )
        try:
            yield reader
        finally:
            await reader.close()


def _best_first(candidate: Candidate) -> tuple[float, str]:
    return -candidate.score, candidate.id


def _candidate(
    entry: ScoredEntry,
    score: float,
    relevance: float | None = None,
    fusion_score: float | None = None,
    words: int | None = None,
) -> Candidate:
    return Candidate(
        entry.item,
        KIND_NAMES[entry.kind],
        score,
        relevance,
        fusion_score,
        entry.session_id,
        entry.position,
        entry.suppressed,
        words,
    )
