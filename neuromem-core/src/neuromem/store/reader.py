"""Fills the ports that recall reads through."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from neuromem.domain.recall import Candidate, Hit
from neuromem.domain.tokens import tokenize
from neuromem.errors import EmbeddingSpaceError
from neuromem.store import approximate, hidden, hits, leads, middles, probe, turns, vectors
from neuromem.store.about import Known
from neuromem.store.engine import LOOKUPS, LOOKUPS_OF_FEW, LOOKUPS_OF_PRESENT
from neuromem.store.index import NAME_OF
from neuromem.store.once import Once

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set

    from pgvector import HalfVector

    from neuromem.config import Settings
    from neuromem.domain.graph import Edge
    from neuromem.domain.recall import About, Fused, Kind, Query, Turn, VectorSearch
    from neuromem.store.engine import Database, Transaction
    from neuromem.store.probe import Probed
    from neuromem.store.rows import Row

    Run = Callable[..., Awaitable[tuple[Row, list[Probed]]]]

LONG_PAST = 5_000  # superseded entries whose leaving out is worth a plan of its own
COVERED, DOUBTFUL = 0.7, 0.25  # share of a question that makes words fully trusted; their least trust
FULL = 0.75  # contrast that makes certain: ten standard deviations of unrelated pairs of e5 on LoCoMo


class StoreReader:
    """Reads for one question; its transaction begins with the first statement, so none waits for an embedding."""

    def __init__(
        self, database: Database, settings: Settings, spaces: vectors.Spaces, user_id: str,
        embed: Callable[[int, str], Awaitable[Sequence[float]]], known: Known, *, by_meaning: bool,
    ) -> None:  # fmt: skip
        self._database = database
        self._known = known
        self._settings = settings
        self._spaces = spaces
        self._changed: EmbeddingSpaceError | None = None
        self._user_id = user_id
        self._embed = embed
        self._by_meaning = by_meaning
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._transaction: Transaction | None = None
        self._about: About | None = None
        self._relations: list[Edge] | None = None
        self._vectors: dict[tuple[int, str], Once[HalfVector | None]] = {}
        self._indexed = False  # and the transaction was begun to use it
        self._searches: dict[str, VectorSearch] = {}
        self._probes: list[tuple[Query, bool, Once[list[tuple[Probed, float]]]]] = []

    async def lexical(self, query: Query) -> Sequence[Candidate]:
        """Return the entries that share words with the question, best BM25 score first."""
        probed = await self._probed(query, by_meaning=self._by_meaning)
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
        probed = await self._probed(query, by_meaning=self._by_meaning)
        return [_candidate(entry, 0.0) for entry, _ in probed if entry.session_id is not None]

    async def relations(self, query: Query) -> Sequence[Edge]:
        """Return the relations of whom and what the question names, and of the user who asks in the first person."""
        if not query.graph:
            return []
        if self._relations is None:
            async with self._statement(query) as transaction:
                self._relations = await leads.relations(transaction, query)
        return self._relations

    async def related(self, query: Query) -> Sequence[Candidate]:
        """Return what those relations come from, the nearest relation first."""
        edges = await self.relations(query)
        if not edges:
            return []
        async with self._statement(query) as transaction:
            return await leads.follow(transaction, query, edges)

    async def about(self, query: Query) -> About:
        """Return what is known of the user at the moment of this reading."""
        if self._about is None:
            async with self._statement(query) as transaction:
                self._about = await self._known.read(transaction, self._user_id, query.filters.as_of)
        return self._about

    async def turns(self, query: Query, hits: Sequence[Hit], reach: int) -> Mapping[str, Sequence[Turn]]:
        """Return what was said around messages; see the port."""
        async with self._statement(query) as transaction:
            return await turns.around(transaction, query.user_id, hits, reach, query.filters.as_of)

    async def visible(self, query: Query, keys: Sequence[tuple[Kind, str]]) -> Set[tuple[Kind, str]]:
        """Return which entries, by kind and id, the question may see."""
        async with self._statement(query) as transaction:
            return await hits.visible_of(transaction, query, keys)

    async def load(self, query: Query, found: Sequence[Fused]) -> Sequence[Hit]:
        """Return what is stored about what was found; what the question may not see is left out."""
        if not found:
            return []
        async with self._statement(query) as transaction:
            return await hits.load(transaction, query, found)

    async def _probed(self, query: Query, *, by_meaning: bool) -> list[tuple[Probed, float]]:
        """Return what the probe found, with relevance: one run for all that ask the same; plugins may ask else."""
        if query.user_id != self._user_id:
            return []
        for asked, meant, once in self._probes:
            if (asked is query or asked == query) and meant is by_meaning:
                return await once.get()
        once = Once(partial(self._probe, query, by_meaning=by_meaning))
        self._probes.append((query, by_meaning, once))
        return await once.get()

    async def _probe(self, query: Query, *, by_meaning: bool) -> list[tuple[Probed, float]]:
        while True:
            space = self._spaces.current
            vector = await self._vector_if_any(query, space) if by_meaning else None
            found = await self._probe_in(query, space, vector)
            if found is not None:
                return found
            by_meaning = self._changed is None

    async def _probe_in(
        self, query: Query, space: vectors.Space, vector: HalfVector | None
    ) -> list[tuple[Probed, float]] | None:
        """Run the probe by words and by a vector of a space; None when that is not the active space any more."""
        async with self._statement(query) as transaction:
            # What the last answer knew is taken to hold, until this one tells.
            about = self._about or self._known.last(query.user_id)
            if about is None:
                about = await self._known.read(transaction, query.user_id, query.filters.as_of)
            meaning = probe.Meaning(space, vector) if vector is not None else None
            while True:
                language = query.language or about.language or self._settings.language
                tokens = tokenize(query.text, language)
                topic = query.topic or query.text
                run = partial(
                    probe.run, transaction, tokens=tokens, meaning=meaning,
                    topical=frozenset(tokens if topic == query.text else tokenize(topic, language)),
                    exact_limit=self._known.exact_limit, bm25=self._settings.bm25,
                )  # fmt: skip
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
        trust = middles.trust(row["n"]) if meaning else 0.0
        return [(entry, _relevance(entry, trust, about.background)) for entry in found]

    async def _follow(self, transaction: Transaction) -> None:
        """Turn to the space that is active now, or note that this process cannot; ends the transaction."""
        try:
            await self._spaces.follow(transaction, self._database.schema)
        except EmbeddingSpaceError as error:
            self._changed = error
        await self._end()  # nobody waits for an embedding in a transaction

    async def _found(
        self, transaction: Transaction, query: Query, run: Run, meaning: probe.Meaning | None
    ) -> tuple[Row, list[Probed]]:
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
            and query.depth <= approximate.MAX_DEPTH
            and await approximate.many_pass(transaction, query, self._known.exact_limit)
        )

    def _planned(self, query: Query) -> Mapping[str, str]:
        """Return how to plan: a user of many rows is worth a plan of its own, and parallel processes."""
        about = self._known.last(self._user_id)
        if about is not None:
            now = query.filters.as_of is None
            if (about.entries if now else about.last_entry) <= self._known.exact_limit:
                long = now and about.last_entry - about.entries > LONG_PAST
                return LOOKUPS_OF_PRESENT if long else LOOKUPS_OF_FEW
        self._indexed = self._known.indexed(self._user_id)
        return approximate.planned(self._database, 2 * query.depth) if self._indexed else LOOKUPS

    async def _vector(self, query: Query, space: vectors.Space) -> HalfVector | None:
        """Return the question's vector, made once per space and text."""
        text = query.topic or query.text
        key = (space.space, text)
        if key not in self._vectors:
            self._vectors[key] = Once(partial(self._normalized, space, text))
        return await self._vectors[key].get()

    async def _vector_if_any(self, query: Query, space: vectors.Space) -> HalfVector | None:
        try:
            return await self._vector(query, space)
        except Exception:  # noqa: BLE001  the vector retriever raises it; words are found all the same
            return None

    async def _normalized(self, space: vectors.Space, text: str) -> HalfVector | None:
        return vectors.normalized(await self._embed(space.space, text), space, space.provider)

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


def _hides(query: Query, about: About) -> bool:
    """Tell whether the question leaves out messages in whose place stands what a model made of them."""
    return about.extracted and not query.filters.include_extracted and "message" in query.filters.kinds


def _makes(query: Query, about: About) -> bool:
    """Tell whether what a model made of messages comes with them."""
    return about.extracted and {"message", "memory"} <= {*query.filters.kinds}


def _with_hidden(query: Query, *, twice: bool) -> Query:
    """Return the question for hidden messages, too: their evidence counts, and to look past them costs a join."""
    filters = replace(query.filters, include_extracted=True)
    return replace(query, filters=filters, depth=query.depth * 2 if twice else query.depth)


def _short(found: Sequence[Probed], depth: int, limit: int) -> bool:
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

    def __init__(self, database: Database, settings: Settings, spaces: vectors.Spaces) -> None:
        self._database = database
        self._settings = settings
        self._spaces = spaces
        self._known = Known(database, settings.vectors.exact_limit)

    async def before(self, user_id: str) -> About:
        """Return what is known of a user before anything is looked for."""
        return await self._known.before(user_id)

    async def hidden(self, query: Query, item: str) -> tuple[str, str] | None:
        """Return what hides an item from the question; see the port."""
        async with self._database.reader(query.user_id) as transaction:
            return await hidden.reason(transaction, query, item)

    async def embedded(self, query: Query, item: str) -> bool:
        """Tell whether an item can be found by meaning; see the port."""
        async with self._database.reader(query.user_id) as transaction:
            return await hidden.embedded(transaction, query, item)

    @asynccontextmanager
    async def open(
        self, user_id: str, embed: Callable[[int, str], Awaitable[Sequence[float]]], *, by_meaning: bool
    ) -> AsyncIterator[StoreReader]:
        """Open a reader for one question; see the port."""
        reader = StoreReader(
            self._database, self._settings, self._spaces, user_id, embed, self._known, by_meaning=by_meaning
        )
        try:
            yield reader
        finally:
            await reader.close()


def _relevance(entry: Probed, trust: float, background: float | None) -> float:
    """Return how relevant an entry is by words and by meaning together, in [0, 1].

    An unrelated text has a contrast of 0 give or take a tenth; `FULL` of it alone means certainty. Where the
    user has few texts, what unrelated texts of the model have in common stands in for what the user's have.
    """
    share = entry.share or 0.0
    if entry.cosine is None or entry.contrast is None:
        return share
    near = entry.contrast
    if background is not None and background < 1.0:  # a model that tells nothing apart has no beyond
        near = trust * near + (1.0 - trust) * (entry.cosine - background) / (1.0 - background)
    near = min(1.0, max(0.0, near / FULL))
    return max(share, 1.0 - (1.0 - near) * (1.0 - 0.7 * share))


def _best_first(candidate: Candidate) -> tuple[float, str]:
    return -candidate.score, candidate.id


def _candidate(
    entry: Probed, score: float, relevance: float | None = None, evidence: float | None = None,
    words: int | None = None,
) -> Candidate:  # fmt: skip
    return Candidate(
        entry.item,
        NAME_OF[entry.kind],
        score,
        relevance,
        evidence,
        entry.session_id,
        entry.position,
        entry.hidden,
        words,
    )
