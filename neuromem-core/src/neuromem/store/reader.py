"""Fills the ports that recall reads through."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from neuromem.domain.recall import Candidate, Hit
from neuromem.domain.tokens import tokenize
from neuromem.store import lexical, vectors, visible
from neuromem.store.index import NAME_OF

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from sqlalchemy import Row

    from neuromem.config import Settings
    from neuromem.domain.recall import Kind, Query
    from neuromem.store.engine import Database, Transaction

LOAD = """
    SELECT 'message' AS kind, m.message_id AS item, m.content, 'message' AS memory_type, m.created_at,
           m.occurred_at, m.metadata, ARRAY[m.message_id] AS sources, m.session_id, m.position, m.name AS speaker,
           NULL::float8 AS importance, NULL::float8 AS valence, NULL::float8 AS arousal
    FROM {s}.messages m WHERE m.user_id = :user AND m.message_id = ANY(CAST(:messages AS uuid[]))
    UNION ALL
    SELECT 'memory', m.memory_id, m.content, m.memory_type, m.created_at, m.occurred_at, m.metadata,
           ARRAY(SELECT s.message_id FROM {s}.memory_sources s WHERE s.user_id = m.user_id
                 AND s.memory_id = m.memory_id AND s.version = m.version ORDER BY s.message_id),
           NULL, NULL, NULL, m.importance, m.valence, m.arousal
    FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_id = ANY(CAST(:memories AS uuid[])) AND {visible}
"""


class StoreReader:
    """Reads for one question, in one transaction; its statements take turns on the one connection."""

    def __init__(
        self, transaction: Transaction, settings: Settings, space: vectors.Space | None,
        embed: Callable[[], Awaitable[str | None]],
    ) -> None:  # fmt: skip
        self._transaction = transaction
        self._settings = settings
        self._space = space
        self._embed = embed
        self._turn = asyncio.Lock()

    async def lexical(self, query: Query) -> Sequence[Candidate]:
        """Return the entries that share words with the question, best BM25 score first."""
        tokens = tokenize(query.text, query.language or self._settings.language)
        async with self._turn:
            found = await lexical.search(
                self._transaction, query.user_id, tokens, query.filters, query.depth, self._settings.bm25
            )
        return [Candidate(match.item, NAME_OF[match.kind], match.score, match.share) for match in found]

    async def vector(self, query: Query) -> Sequence[Candidate]:
        """Return the entries nearest to the question's embedding, best cosine first."""
        if self._space is None:
            return []
        vector = await self._embed()
        if vector is None:
            return []
        async with self._turn:
            found = await vectors.search(
                self._transaction, query.user_id, self._space, vector, query.filters, query.depth
            )
        background = self._space.background or 0.0
        return [
            Candidate(
                near.item, NAME_OF[near.kind], near.cosine,
                min(1.0, max(0.0, (near.cosine - background) / (1.0 - background))),
            )
            for near in found
        ]  # fmt: skip

    async def load(self, query: Query, candidates: Sequence[Candidate]) -> Sequence[Hit]:
        """Return what is stored about the candidates; those that the question may not see are left out."""
        if not candidates:
            return []
        as_of = query.filters.as_of
        params: dict[str, Any] = {"user": query.user_id}
        for kind, name in (("message", "messages"), ("memory", "memories")):
            params[name] = [candidate.id for candidate in candidates if candidate.kind == kind]
        when = "m.superseded_at IS NULL"
        if as_of is not None:
            params["as_of"] = as_of
            when = visible.visible_at("m")
        async with self._turn:
            rows = await self._transaction.all(LOAD.replace("{visible}", when), params)
        return [_hit(row) for row in rows]


class Search:
    """Opens readers: one connection and one snapshot for all that a question reads."""

    def __init__(self, database: Database, settings: Settings, space: vectors.Space | None) -> None:
        self._database = database
        self._settings = settings
        self._space = space

    @asynccontextmanager
    async def open(
        self, user_id: str, embed: Callable[[], Awaitable[Sequence[float]]]
    ) -> AsyncIterator[StoreReader]:
        """Open a reader for one question; ``embed`` gives the question's vector when it is wanted."""

        async def vector() -> str | None:
            assert self._space is not None  # noqa: S101  asked for only when there is a space
            return vectors.literal(await embed(), self._space, self._space.provider)

        async with self._database.reader(user_id, self._settings.recall.timeout) as transaction:
            yield StoreReader(transaction, self._settings, self._space, vector)


def _hit(row: Row[Any]) -> Hit:
    kind: Kind = row.kind
    return Hit(
        id=str(row.item), kind=kind, score=0.0, relevance=0.0, ranks={}, content=row.content,
        memory_type=row.memory_type, created_at=row.created_at, occurred_at=row.occurred_at,
        metadata=row.metadata, sources=tuple(str(source) for source in row.sources), session_id=row.session_id,
        position=row.position, speaker=row.speaker, importance=row.importance, valence=row.valence,
        arousal=row.arousal,
    )  # fmt: skip
