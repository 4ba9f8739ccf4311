"""Fills a database with memories in bulk, through the store's own statements."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import uuid4

from pgvector import HalfVector

from neuromem.domain.text.indexed_text import searchable_tokens
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.database.users import begin_write
from neuromem.store.schema.migrate import prepare_schema
from neuromem.store.search_index.centroids import update_centroid
from neuromem.store.search_index.entries import MEMORY_KIND, IndexEntry, add_entries
from neuromem.store.search_index.vectors import EmbeddingSpace, insert_vectors, open_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.support.server import Place
    from benchmarks.support.synthetic import Batch, Synthetic
    from neuromem.plugin import EmbeddingProvider

MEMORIES = """
    INSERT INTO {s}.memories (user_id, memory_id, version, entry, memory_type, content, content_hash,
                              created_at, occurred_at, origin)
    SELECT :user, n.id, 1, n.entry, 'fact', n.content, n.hash, :now, n.occurred_at, '{"by": "user"}'
    FROM unnest(CAST(:id AS uuid[]), CAST(:entry AS int[]), CAST(:content AS text[]), CAST(:hash AS bytea[]),
                CAST(:occurred_at AS timestamptz[])) AS n(id, entry, content, hash, occurred_at)
"""
HELD = "SELECT coalesce(sum(entries), 0) FROM {s}.corpora WHERE user_id = :user"


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch with everything that can be computed before its transaction begins."""

    batch: Batch
    tokens: list[list[str]]
    vectors: list[HalfVector]


async def load(
    where: Place,
    embedding: EmbeddingProvider,
    sizes: Mapping[str, int],
    synthetic: Synthetic,
    batch: int = 1_000,
) -> int:
    """Give each user so many memories, unless the user has some already; returns how many were stored.

    Users take turns, a batch each: how many of a user's rows lie together is how many a batch has.
    """
    database = Database(parse_dsn(where.url), schema=where.schema, pool_size=4)
    stored = 0
    try:
        await prepare_schema(database, migrate=True)
        space = await open_space(database, embedding)
        missing = {}
        for user_id, size in sizes.items():
            async with database.user(user_id) as transaction:
                missing[user_id] = size - int(await transaction.value(HELD, {"user": user_id}))
        waiting: asyncio.Task[None] | None = None
        while missing := {user_id: n for user_id, n in missing.items() if n > 0}:
            for user_id in missing:
                ready = _prepare(synthetic.memories(min(batch, missing[user_id])))
                if waiting is not None:
                    await waiting
                waiting = asyncio.create_task(_store(database, space, user_id, ready))
                await asyncio.sleep(0)  # the server works on this batch while the next is made
                stored += len(ready.tokens)
                missing[user_id] -= len(ready.tokens)
        if waiting is not None:
            await waiting
        for user_id in sizes:  # as embedding does when it has done all
            async with database.user(user_id) as transaction:
                await update_centroid(transaction, user_id, space.space)
    finally:
        await database.close()
    if stored:
        await _vacuum(where)
    return stored


def _prepare(batch: Batch) -> _Ready:
    return _Ready(
        batch,
        [
            searchable_tokens(text, "en", occurred_at=moment)
            for text, moment in zip(batch.texts, batch.moments, strict=True)
        ],
        [HalfVector(row) for row in batch.vectors],
    )


async def _store(database: Database, space: EmbeddingSpace, user_id: str, ready: _Ready) -> None:
    batch = ready.batch
    n = len(batch.texts)
    ids = [str(uuid4()) for _ in range(n)]
    async with database.user(user_id) as transaction:
        moment = await begin_write(transaction, user_id, n)
        numbers = [moment.first_entry + i for i in range(n)]
        await transaction.run(
            MEMORIES,
            {
                "user": user_id,
                "now": moment.now,
                "id": ids,
                "entry": numbers,
                "content": batch.texts,
                "hash": [blake2b(key.encode(), digest_size=16).digest() for key in ids],
                "occurred_at": batch.moments,
            },
        )
        entries = [
            IndexEntry(entry=number, item=key, tokens=tokens, memory_type="fact", occurred_at=occurred_at)
            for number, key, tokens, occurred_at in zip(
                numbers, ids, ready.tokens, batch.moments, strict=True
            )
        ]
        await add_entries(transaction, user_id, MEMORY_KIND, entries, moment.now, embed=False)
        await insert_vectors(transaction, user_id, space, list(zip(numbers, ready.vectors, strict=True)))


async def _vacuum(where: Place) -> None:
    """Do at once what autovacuum does within a minute: without it, index-only scans visit the table."""
    connection = await where.connect()
    try:
        for table in ("entries", "postings", "corpora", "vectors", "memories", "users", "jobs"):
            await connection.execute(f"VACUUM (ANALYZE) {where.schema}.{table}")
    finally:
        await connection.close()
