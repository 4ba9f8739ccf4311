"""Fills the ports that recall reads through."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from neuromem.domain.recall_result import Candidate, RetrievedItem
from neuromem.domain.text.tokenizer import tokenize
from neuromem.errors import EmbeddingSpaceError
from neuromem.store.database.database import PLANNER_GENERIC, PLANNER_INDEX_ONLY, PLANNER_PARTIAL_INDEX
from neuromem.store.retrieval.explain import exclusion_reason, is_embedded
from neuromem.store.retrieval.graph_expansion import candidates_of_relations, relations_of_question
from neuromem.store.retrieval.hybrid_query import QueryVector, run_hybrid_query
from neuromem.store.retrieval.hydrate import hydrate, visible_entries
from neuromem.store.retrieval.neighbors import turns_around
from neuromem.store.retrieval.single_flight import SingleFlight
from neuromem.store.retrieval.user_snapshot import UserSnapshots
from neuromem.store.search_index.centroids import centroid_trust
from neuromem.store.search_index.entries import KIND_NAMES
from neuromem.store.search_index.hnsw import HNSW_MAX_DEPTH, hnsw_planner_settings, more_entries_pass_than
from neuromem.store.search_index.vectors import ActiveSpaces, EmbeddingSpace, normalized_vector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set

    from pgvector import HalfVector

    from neuromem.config import Settings
    from neuromem.domain.graph import Edge
    from neuromem.domain.query import Kind, Query, UserSnapshot
    from neuromem.domain.recall_result import Fused, Turn, VectorSearch
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row
    from neuromem.store.retrieval.hybrid_query import ScoredEntry

    Run = Callable[..., Awaitable[tuple[Row, list[ScoredEntry]]]]

LONG_PAST = 5_000  # superseded entries whose leaving out is worth a plan of its own
COVERED, DOUBTFUL = 0.7, 0.25  # share of a question that makes words fully trusted; their least trust
FULL = 0.75  # contrast that makes certain: ten standard deviations of unrelated pairs of e5 on LoCoMo


class StoreReader:
    """Reads for one question; its transaction begins with the first statement, so none waits for an embedding."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        spaces: ActiveSpaces,
        user_id: str,
        embed: Callable[[int, str], Awaitable[Sequence[float]]],
        known: UserSnapshots,
        *,
        with_vectors: bool,
    ) -> None:
        self._database = database
        self._known = known
        self._settings = settings
        self._spaces = spaces
        self._changed: EmbeddingSpaceError | None = None
        self._user_id = user_id
        self._embed = embed
        self._with_vectors = with_vectors
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._transaction: Transaction | None = None
        self._about: UserSnapshot | None = None
        self._relations: list[Edge] | None = None
        self._vectors: dict[tuple[int, str], SingleFlight[HalfVector | None]] = {}
        self._indexed = False  # and the transaction was begun to use it
        self._searches: dict[str, VectorSearch] = {}
        self._probes: list[tuple[Query, bool, SingleFlight[list[tuple[ScoredEntry, float]]]]] = []

    async def lexical(self, query: Query) -> Sequence[Candidate]:
        """Return the entries that share words with the question, best BM25 score first."""
        probed = await self._probed(query, by_meaning=self._with_vectors)
        scored = [(entry, entry.score, relevance) for entry, relevance in probed if entry.score is not None]
        sure = max((entry.share or 0.0 for entry, _, _ in scored), default=0.0) / COVERED
        best = max((score for _, score, _ in scored), default=0.0) or 1.0
        scale = min(1.0, max(DOUBTFUL, sure)) / best
        found = [
            _candidate(entry, score, relevance, score * scale, entry.words)
            for entry, score, relevance in scored
        ]
        found.sort(key=_best_first)
        return found

    async def vector(self, query: Query) -> Sequence[Candidate]:
        """Return the entries nearest to the question's embedding, best cosine first."""
        # An embedding that failed is this retriever's failure alone.
        await self._vector(query, self._spaces.current)
        probed = await self._probed(query, by_meaning=True)
        if self._changed is not None:
            raise self._changed
        found = [
            _candidate(entry, entry.cosine, relevance, entry.contrast)
            for entry, relevance in probed
            if entry.cosine is not None
        ]
        found.sort(key=_best_first)
        return found

    def search(self, query: Query) -> VectorSearch:
        """Return how the nearest entries were found."""
        return self._searches.get(query.topic or query.text, "exact")

    async def around(self, query: Query) -> Sequence[Candidate]:
        """Return the turns before and after what words and meaning found, in the order of the conversation."""
        probed = await self._probed(query, by_meaning=self._with_vectors)
        return [_candidate(entry, 0.0) for entry, _ in probed if entry.session_id is not None]

    async def relations(self, query: Query) -> Sequence[Edge]:
        """Return the relations of whom and what the question names, and of the user who asks in the first person."""
        if not query.graph:
            return []
        if self._relations is None:
            async with self._statement(query) as transaction:
                self._relations = await relations_of_question(transaction, query)
        return self._relations

    async def related(self, query: Query) -> Sequence[Candidate]:
        """Return what those relations come from, the nearest relation first."""
        edges = await self.relations(query)
        if not edges:
            return []
        async with self._statement(query) as transaction:
            return await candidates_of_relations(transaction, query, edges)

    async def about(self, query: Query) -> UserSnapshot:
        """Return what is known of the user at the moment of this reading."""
        if self._about is None:
            async with self._statement(query) as transaction:
                self._about = await self._known.read(transaction, self._user_id, query.filters.as_of)
        return self._about

    async def turns(
        self, query: Query, hits: Sequence[RetrievedItem], reach: int
    ) -> Mapping[str, Sequence[Turn]]:
        """Return what was said around messages; see the port."""
        async with self._statement(query) as transaction:
            return await turns_around(transaction, query.user_id, hits, reach, query.filters.as_of)

    async def visible(self, query: Query, keys: Sequence[tuple[Kind, str]]) -> Set[tuple[Kind, str]]:
        """Return which entries, by kind and id, the question may see."""
        async with self._statement(query) as transaction:
            return await visible_entries(transaction, query, keys)

    async def load(self, query: Query, found: Sequence[Fused]) -> Sequence[RetrievedItem]:
        """Return what is stored about what was found; what the question may not see is left out."""
        if not found:
            return []
        async with self._statement(query) as transaction:
            return await hydrate(transaction, query, found)

    async def _probed(self, query: Query, *, by_meaning: bool) -> list[tuple[ScoredEntry, float]]:
        """Return what the probe found, with relevance: one run for all that ask the same; plugins may ask else."""
        if query.user_id != self._user_id:
            return []
        for asked, meant, once in self._probes:
            if (asked is query or asked == query) and meant is by_meaning:
                return await once.get()
        once = SingleFlight(partial(self._probe, query, by_meaning=by_meaning))
        self._probes.append((query, by_meaning, once))
        return await once.get()

    async def _probe(self, query: Query, *, by_meaning: bool) -> list[tuple[ScoredEntry, float]]:
        while True:
            space = self._spaces.current
            vector = await self._vector_if_any(query, space) if by_meaning else None
            found = await self._probe_in(query, space, vector)
            if found is not None:
                return found
            by_meaning = self._changed is None

    async def _probe_in(
        self, query: Query, space: EmbeddingSpace, vector: HalfVector | None
    ) -> list[tuple[ScoredEntry, float]] | None:
        """Run the probe by words and by a vector of a space; None when that is not the active space any more."""
        async with self._statement(query) as transaction:
            # What the last answer knew is taken to hold, until this one tells.
            about = self._about or self._known.last(query.user_id)
            if about is None:
                about = await self._known.read(transaction, query.user_id, query.filters.as_of)
            meaning = QueryVector(space, vector) if vector is not None else None
            while True:
                language = query.language or about.language or self._settings.language
                tokens = tokenize(query.text, language)
                topic = query.topic or query.text
                run = partial(
                    run_hybrid_query,
                    transaction,
                    tokens=tokens,
                    meaning=meaning,
                    topical=frozenset(tokens if topic == query.text else tokenize(topic, language)),
                    exact_limit=self._known.exact_limit,
                    bm25=self._settings.bm25,
                )
                hides = _hides(query, about)
                asked = _with_hidden(query, twice=hides)
                row, found = await self._found(
                    transaction, asked, partial(run, made=_makes(query, about)), meaning
                )
                before, about = about, self._known.learn(query.user_id, row)
                self._about = about
                if vector is not None and about.space != space.space:
                    await self._follow(transaction)
                    return None
                if (about.extracted, about.language) == (before.extracted, before.language):
                    break
            if hides:
                found = [entry._replace(hidden=entry.extracted) for entry in found]
                if _short(found, asked.depth, query.limit):
                    known = {(entry.kind, entry.item) for entry in found}
                    _, shown = await self._found(transaction, query, run, meaning)
                    found += [entry for entry in shown if (entry.kind, entry.item) not in known]
        trust = centroid_trust(row["n"]) if meaning else 0.0
        return [(entry, _relevance(entry, trust, about.baseline_cosine)) for entry in found]

    async def _follow(self, transaction: Transaction) -> None:
        """Turn to the space that is active now, or note that this process cannot; ends the transaction."""
        try:
            await self._spaces.follow(transaction, self._database.schema)
        except EmbeddingSpaceError as error:
            self._changed = error
        await self._end()  # nobody waits for an embedding in a transaction

    async def _found(
        self, transaction: Transaction, query: Query, run: Run, meaning: QueryVector | None
    ) -> tuple[Row, list[ScoredEntry]]:
        """Run the probe, through the index where too many pass; exactly, when that gives fewer than asked for."""
        text = query.topic or query.text
        if meaning is not None and await self._too_many(transaction, query):
            row, found = await run(query, through_index=True)
            if row.reached >= query.depth:
                self._searches[text] = "approximate"
                return row, found
        self._searches.setdefault(text, "exact")
        return await run(query, through_index=False)

    async def _too_many(self, transaction: Transaction, query: Query) -> bool:
        """Tell whether an index is to find the nearest: there is one, and too many pass to look at all of them."""
        return (
            self._indexed
            and query.filters.as_of is None
            and query.depth <= HNSW_MAX_DEPTH
            and await more_entries_pass_than(transaction, query, self._known.exact_limit)
        )

    def _planned(self, query: Query) -> Mapping[str, str]:
        """Return how to plan: a user of many rows is worth a plan of its own, and parallel processes."""
        about = self._known.last(self._user_id)
        if about is not None:
            now = query.filters.as_of is None
            if (about.entries if now else about.last_entry) <= self._known.exact_limit:
                long = now and about.last_entry - about.entries > LONG_PAST
                return PLANNER_PARTIAL_INDEX if long else PLANNER_GENERIC
        self._indexed = self._known.indexed(self._user_id)
        return hnsw_planner_settings(self._database, 2 * query.depth) if self._indexed else PLANNER_INDEX_ONLY

    async def _vector(self, query: Query, space: EmbeddingSpace) -> HalfVector | None:
        """Return the question's vector, computed once per space and text."""
        text = query.topic or query.text
        key = (space.space, text)
        if key not in self._vectors:
            self._vectors[key] = SingleFlight(partial(self._normalized, space, text))
        return await self._vectors[key].get()

    async def _vector_if_any(self, query: Query, space: EmbeddingSpace) -> HalfVector | None:
        try:
            return await self._vector(query, space)
        except Exception:  # noqa: BLE001  the vector retriever raises it; words are found all the same
            return None

    async def _normalized(self, space: EmbeddingSpace, text: str) -> HalfVector | None:
        return normalized_vector(await self._embed(space.space, text), space, space.provider)

    @asynccontextmanager
    async def _statement(self, query: Query) -> AsyncIterator[Transaction]:
        """Take the turn on the connection; a statement that fails takes its transaction with it."""
        async with self._turn:
            if self._transaction is None:
                self._transaction = await self._stack.enter_async_context(
                    self._database.reader(
                        self._user_id,
                        self._settings.recall.timeout,
                        settings=self._planned(query),
                        as_of=query.filters.as_of,
                    )
                )
            try:
                yield self._transaction
            except BaseException:
                await self._end()
                raise

    async def _end(self) -> None:
        self._transaction = None
        await self._stack.aclose()

    async def close(self) -> None:
        """Give the connection back."""
        await self._stack.aclose()


def _hides(query: Query, about: UserSnapshot) -> bool:
    """Tell whether the question leaves out messages in whose place stands what a model made of them."""
    return about.extracted and not query.filters.include_extracted and "message" in query.filters.kinds


def _makes(query: Query, about: UserSnapshot) -> bool:
    """Tell whether what a model made of messages comes with them."""
    return about.extracted and {"message", "memory"} <= {*query.filters.kinds}


def _with_hidden(query: Query, *, twice: bool) -> Query:
    """Return the question for hidden messages, too: their evidence counts, and to look past them costs a join."""
    filters = replace(query.filters, include_extracted=True)
    return replace(query, filters=filters, depth=query.depth * 2 if twice else query.depth)


def _short(found: Sequence[ScoredEntry], depth: int, limit: int) -> bool:
    """Tell whether hidden messages took so many of the best places that fewer than asked may be shown."""
    for name in ("score", "cosine"):
        best = sorted((getattr(e, name), not e.hidden) for e in found if getattr(e, name) is not None)[
            -depth:
        ]
        if len(best) == depth and sum(shown for _, shown in best) < limit:
            return True
    return False


class Search:
    """Opens readers: one connection and one snapshot for all that a question reads."""

    def __init__(self, database: Database, settings: Settings, spaces: ActiveSpaces) -> None:
        self._database = database
        self._settings = settings
        self._spaces = spaces
        self._known = UserSnapshots(database, settings.vectors.exact_limit)

    async def known_snapshot(self, user_id: str) -> UserSnapshot:
        """Return what is known of a user before anything is searched."""
        return await self._known.before(user_id)

    async def exclusion_reason(self, query: Query, item: str) -> tuple[str, str] | None:
        """Return what keeps an item out of the answer; see the port."""
        async with self._database.reader(query.user_id) as transaction:
            return await exclusion_reason(transaction, query, item)

    async def is_embedded(self, query: Query, item: str) -> bool:
        """Return whether an item has a vector in the active space; see the port."""
        async with self._database.reader(query.user_id) as transaction:
            return await is_embedded(transaction, query, item)

    @asynccontextmanager
    async def open(
        self, user_id: str, embed: Callable[[int, str], Awaitable[Sequence[float]]], *, with_vectors: bool
    ) -> AsyncIterator[StoreReader]:
        """Open a reader for one question; see the port."""
        reader = StoreReader(
            self._database,
            self._settings,
            self._spaces,
            user_id,
            embed,
            self._known,
            with_vectors=with_vectors,
        )
        try:
            yield reader
        finally:
            await reader.close()


def _relevance(entry: ScoredEntry, trust: float, baseline_cosine: float | None) -> float:
    """Return how relevant an entry is by words and by meaning together, in [0, 1].

    An unrelated text has a contrast of 0 give or take a tenth; `FULL` of it alone means certainty. Where the
    user has few texts, what unrelated texts of the model have in common stands in for what the user's have.
    """
    share = entry.share or 0.0
    if entry.cosine is None or entry.contrast is None:
        return share
    near = entry.contrast
    if (
        baseline_cosine is not None and baseline_cosine < 1.0
    ):  # a model that tells nothing apart has no beyond
        near = trust * near + (1.0 - trust) * (entry.cosine - baseline_cosine) / (1.0 - baseline_cosine)
    near = min(1.0, max(0.0, near / FULL))
    return max(share, 1.0 - (1.0 - near) * (1.0 - 0.7 * share))


def _best_first(candidate: Candidate) -> tuple[float, str]:
    return -candidate.score, candidate.id


def _candidate(
    entry: ScoredEntry,
    score: float,
    relevance: float | None = None,
    evidence: float | None = None,
    words: int | None = None,
) -> Candidate:
    return Candidate(
        entry.item,
        KIND_NAMES[entry.kind],
        score,
        relevance,
        evidence,
        entry.session_id,
        entry.position,
        entry.hidden,
        words,
    )
