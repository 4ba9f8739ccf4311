"""Hybrid search: runs the hybrid query for a question, once for all retrievers that need its result.

`neuromem.store.retrieval.hybrid_query` has the SQL. Here is decided with which vector and language it runs, whether
through the HNSW index, and when it is run again: after the user's language or embedding space turned out to have
changed, and where suppressed messages took the places of what can be shown.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from neuromem.domain.text.tokenizer import tokenize
from neuromem.errors import EmbeddingSpaceError
from neuromem.store.retrieval.hybrid_query import run_hybrid_query
from neuromem.store.retrieval.relevance import entry_relevance
from neuromem.store.retrieval.single_flight import SingleFlight
from neuromem.store.search_index.centroids import centroid_trust
from neuromem.store.search_index.hnsw import HNSW_MAX_DEPTH, more_entries_pass_than

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from neuromem.config import Settings
    from neuromem.domain.query import Query, UserSnapshot
    from neuromem.domain.recall_result import VectorSearch
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.retrieval.hybrid_query import HybridResult, ScoredEntry
    from neuromem.store.retrieval.query_vector import QueryVector, QueryVectors
    from neuromem.store.retrieval.read_transaction import ReadTransaction
    from neuromem.store.retrieval.user_snapshot import UserSnapshots
    from neuromem.store.search_index.vectors import ActiveSpaces, EmbeddingSpace

    RunHybridQuery = Callable[..., Awaitable[HybridResult]]


class RelevantEntry(NamedTuple):
    """An entry that the hybrid query found, and its relevance in [0, 1]."""

    entry: ScoredEntry
    relevance: float


class HybridSearch:
    """The hybrid search of one reader.

    Attributes:
        snapshot: What the last hybrid query read of the user; None: none was run yet.
        space_error: Why vectors cannot be searched: this process lacks the model of the space that is active now.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        user_id: str,
        spaces: ActiveSpaces,
        snapshots: UserSnapshots,
        reading: ReadTransaction,
        vectors: QueryVectors,
    ) -> None:
        self._database = database
        self._settings = settings
        self._user_id = user_id
        self._spaces = spaces
        self._snapshots = snapshots
        self._reading = reading
        self._vectors = vectors
        self._vector_searches: dict[str, VectorSearch] = {}
        self._results: list[tuple[Query, bool, SingleFlight[list[RelevantEntry]]]] = []
        self.snapshot: UserSnapshot | None = None
        self.space_error: EmbeddingSpaceError | None = None

    async def entries(self, query: Query, *, with_vectors: bool) -> list[RelevantEntry]:
        """Return what the hybrid query finds, in no order; it runs once for equal arguments.

        A retriever of a plugin may ask with a query of its own; that of another user finds nothing.
        """
        if query.user_id != self._user_id:
            return []
        for earlier, had_vectors, result in self._results:
            if (earlier is query or earlier == query) and had_vectors is with_vectors:
                return await result.get()
        result = SingleFlight(partial(self._search, query, with_vectors=with_vectors))
        self._results.append((query, with_vectors, result))
        return await result.get()

    def vector_search(self, query: Query) -> VectorSearch:
        """Return how the nearest vectors of a question were found."""
        return self._vector_searches.get(query.topic or query.text, "exact")

    async def _search(self, query: Query, *, with_vectors: bool) -> list[RelevantEntry]:
        while True:
            space = self._spaces.current
            query_vector = await self._vectors.get_if_available(query, space) if with_vectors else None
            found = await self._search_in_space(query, space, query_vector)
            if found is not None:
                return found
            with_vectors = self.space_error is None

    async def _search_in_space(
        self, query: Query, space: EmbeddingSpace, query_vector: QueryVector | None
    ) -> list[RelevantEntry] | None:
        """Run the hybrid query in a space; None when that is not the active space any more."""
        async with self._reading.statement(query) as transaction:
            # The snapshot of the last answer is taken to hold; each run of the query returns the present one.
            snapshot = self.snapshot or self._snapshots.last(query.user_id)
            if snapshot is None:
                snapshot = await self._snapshots.read(transaction, query.user_id, query.filters.as_of)
            while True:
                run = self._prepare(transaction, query, snapshot, query_vector)
                suppresses = _suppresses_messages(query, snapshot)
                wider = _with_suppressed(query, double_depth=suppresses)
                run_wider = partial(run, with_derived=_includes_derived(query, snapshot))
                result = await self._run(transaction, wider, run_wider, query_vector)
                before, snapshot = snapshot, self._snapshots.keep_row(query.user_id, result.snapshot_row)
                self.snapshot = snapshot
                if query_vector is not None and snapshot.space != space.space:
                    await self._follow_space(transaction)
                    return None
                if (snapshot.extracted, snapshot.language) == (before.extracted, before.language):
                    break
            entries = result.entries
            if suppresses:
                entries = [entry._replace(suppressed=entry.extracted) for entry in entries]
                if _too_few_shown(entries, wider.depth, query.limit):
                    known = {(entry.kind, entry.item) for entry in entries}
                    shown = await self._run(transaction, query, run, query_vector)
                    entries += [entry for entry in shown.entries if (entry.kind, entry.item) not in known]
        trust = centroid_trust(result.centroid_size)
        return [
            RelevantEntry(entry, entry_relevance(entry, trust, snapshot.baseline_cosine)) for entry in entries
        ]

    def _prepare(
        self, transaction: Transaction, query: Query, snapshot: UserSnapshot, query_vector: QueryVector | None
    ) -> RunHybridQuery:
        """Return the hybrid query with all arguments but the question itself, and how it is run."""
        language = query.language or snapshot.language or self._settings.language
        tokens = tokenize(query.text, language)
        topic = query.topic or query.text
        return partial(
            run_hybrid_query,
            transaction,
            tokens=tokens,
            topical=frozenset(tokens if topic == query.text else tokenize(topic, language)),
            query_vector=query_vector,
            exact_limit=self._snapshots.exact_limit,
            bm25=self._settings.bm25,
        )

    async def _run(
        self, transaction: Transaction, query: Query, run: RunHybridQuery, query_vector: QueryVector | None
    ) -> HybridResult:
        """Run the hybrid query through the HNSW index where too many vectors would have to be compared.

        Where the index gives fewer than ``query.depth`` entries, all vectors are compared after all.
        """
        text = query.topic or query.text
        if query_vector is not None and await self._needs_hnsw(transaction, query):
            result = await run(query, through_index=True)
            if result.near_count >= query.depth:
                self._vector_searches[text] = "approximate"
                return result
        self._vector_searches.setdefault(text, "exact")
        return await run(query, through_index=False)

    async def _needs_hnsw(self, transaction: Transaction, query: Query) -> bool:
        """Return whether the user has an HNSW index and too many entries pass the filters to compare them all."""
        return (
            self._reading.uses_hnsw
            and query.filters.as_of is None
            and query.depth <= HNSW_MAX_DEPTH
            and await more_entries_pass_than(transaction, query, self._snapshots.exact_limit)
        )

    async def _follow_space(self, transaction: Transaction) -> None:
        """Switch to the space that is active now, or note that this process cannot; ends the transaction."""
        try:
            await self._spaces.follow(transaction, self._database.schema)
        except EmbeddingSpaceError as error:
            self.space_error = error
        await self._reading.end()  # no transaction stays open while the question is embedded again


def _suppresses_messages(query: Query, snapshot: UserSnapshot) -> bool:
    """Return whether messages that a model has extracted are not shown, but what was derived from them."""
    return snapshot.extracted and not query.filters.include_extracted and "message" in query.filters.kinds


def _includes_derived(query: Query, snapshot: UserSnapshot) -> bool:
    """Return whether memories derived from the messages found are returned with them."""
    return snapshot.extracted and {"message", "memory"} <= {*query.filters.kinds}


def _with_suppressed(query: Query, *, double_depth: bool) -> Query:
    """Return the question that finds suppressed messages, too.

    Their scores count for the memories derived from them, and leaving them out in SQL would cost a join.
    """
    filters = replace(query.filters, include_extracted=True)
    return replace(query, filters=filters, depth=query.depth * 2 if double_depth else query.depth)


def _too_few_shown(entries: Sequence[ScoredEntry], depth: int, limit: int) -> bool:
    """Return whether suppressed messages took so many of the best ``depth`` places that fewer than ``limit`` remain.

    Judged for the ranking by words and the one by cosine, each if it is full.
    """
    for name in ("score", "cosine"):
        ranked = sorted(
            (getattr(entry, name), not entry.suppressed)
            for entry in entries
            if getattr(entry, name) is not None
        )
        best = ranked[-depth:]
        if len(best) == depth and sum(shown for _, shown in best) < limit:
            return True
    return False
