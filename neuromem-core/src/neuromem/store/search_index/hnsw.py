"""The approximate regime: an HNSW index of their own for users whose vectors are too many to look at all of them.

An index over all users would be of no use: it searches first and filters then, so that a user with few vectors
finds almost nothing. A partial one (``WHERE user_id = ...``) holds one user's current vectors in one space. Its name
is made of a hash, so that it can be told whose it is without anybody's id in a name.

It is built with CREATE INDEX CONCURRENTLY, which locks nobody out, cannot run in a transaction, and leaves an invalid
index behind when it is cut off; whoever comes next drops that and builds anew.
"""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING, Literal

from neuromem.store.database.database import PLANNER_INDEX_ONLY, quote_literal
from neuromem.store.database.sql import NOTHING, Fragment, fill
from neuromem.store.queue.job_kinds import INDEX
from neuromem.store.search_index.filters import filter_condition, kind_letters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.domain.query import Query
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.search_index.vectors import EmbeddingSpace

IndexState = Literal["absent", "building", "invalid", "ready"]

PREFIX = "vectors_near_"
WIDTH = 200  # candidates that a search through the index keeps, at least (hnsw.ef_search)
MEMORY = "256MB"  # that building may take: it is several times slower when the graph does not fit
HNSW_MAX_DEPTH = 333  # a third of the most that it can keep

ITERATIVE = (0, 8)  # pgvector from which a search goes on while a filter leaves too few

# The current entries that the question may see, counted no further than it takes to know.
PASSING = """
    SELECT count(*) FROM (
        SELECT FROM {s}.entries e
        WHERE e.user_id = :user AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
          AND e.superseded_at IS NULL AND {condition}
        LIMIT CAST(:most AS bigint) + 1
    ) AS counted
"""
ALL_PASS = """
    SELECT sum(entries) FROM {s}.corpora
    WHERE user_id = :user AND kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
"""

MANY = """
    SELECT count(*) FROM (
        SELECT FROM {s}.vectors WHERE user_id = :user AND space = :space AND current
        LIMIT CAST(:most AS bigint) + 1
    ) AS counted
"""

# The index of ``users u`` in ``spaces s``; NULL where there is none.
OF = "to_regclass('{s}.vectors_near_' || s.space || '_' || left(md5(u.user_id), 16))"
INDEX_READY = f"EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = {OF} AND i.indisvalid)"

STATE = """
    SELECT i.indisvalid AS valid, p.index_relid IS NOT NULL AS building
    FROM pg_index i LEFT JOIN pg_stat_progress_create_index p ON p.index_relid = i.indexrelid
    WHERE i.indexrelid = to_regclass('{s}.' || CAST(:name AS text))
"""

ASK = f"""
    INSERT INTO {{s}}.jobs (user_id, kind, capability)
    SELECT u.user_id, '{INDEX.name}', '{INDEX.capability}' FROM {{s}}.users u JOIN {{s}}.spaces s ON s.active
    WHERE (CAST(:user AS text) IS NULL OR u.user_id = :user) AND u.last_entry > CAST(:most AS bigint)
      AND NOT {INDEX_READY}
      AND NOT EXISTS (SELECT FROM {{s}}.jobs j WHERE j.user_id = u.user_id AND j.kind = '{INDEX.name}')
"""

# Ours, their users or spaces gone, and nobody at work on them.
LEFT_OVER = """
    SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass('{s}.vectors') AND starts_with(c.relname, :prefix)
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
      AND NOT EXISTS (
          SELECT FROM {s}.spaces s CROSS JOIN {s}.users u
          WHERE c.relname = :prefix || s.space || '_' || left(md5(u.user_id), 16))
"""

OF_USER = f"""
    SELECT c.relname AS name FROM (SELECT CAST(:user AS text)) AS u (user_id) CROSS JOIN {{s}}.spaces s
    JOIN pg_class c ON c.oid = {OF}
    WHERE NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
"""

COUNT = """
    SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass('{s}.vectors') AND starts_with(c.relname, :prefix)
"""

NEAR = """
    near AS MATERIALIZED (
        SELECT v.entry FROM {s}.vectors v
        WHERE v.user_id = :user AND v.space = :space AND v.current
          AND v.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) {passes}
        ORDER BY CAST(v.v AS halfvec({dims})) <#> CAST(:vector AS halfvec({dims}))
        LIMIT CAST(:depth AS int)
    )
"""

# A scalar subquery: it stays a filter of the scan, and the order of the scan stays that of the index.
PASSES = "AND (SELECT {condition} FROM {s}.entries e WHERE e.user_id = :user AND e.entry = v.entry)"


def index_name(space: int, user_id: str) -> str:
    """Return the name of a user's index."""
    return f"{PREFIX}{space}_{md5(user_id.encode(), usedforsecurity=False).hexdigest()[:16]}"


def hnsw_planner_settings(database: Database, depth: int) -> Mapping[str, str]:
    """Return the settings under which the index is used, whatever the planner thinks of it.

    What is ordered is read from the index; only where there is none is it sorted.
    """
    settings = {
        **PLANNER_INDEX_ONLY,
        "enable_sort": "off",
        "hnsw.ef_search": str(min(1_000, max(WIDTH, 3 * depth))),
    }
    if database.pgvector >= ITERATIVE:
        settings["hnsw.iterative_scan"] = "strict_order"
    return settings


def hnsw_search_expression(space: EmbeddingSpace, condition: Fragment) -> Fragment:
    """Return the common table expression ``near (entry)``, found through the user's index.

    It needs ``:user, :space, :kinds, :vector, :depth`` and gives ``:depth`` of the nearest entries, or fewer.

    Args:
        space: The embedding space that is searched.
        condition: What narrows ``entries e``; empty when nothing does.
    """
    passes = fill(PASSES, condition=condition) if condition else NOTHING
    return fill(NEAR, passes=passes, dims=str(space.dims))


async def more_entries_pass_than(transaction: Transaction, query: Query, most: int) -> bool:
    """Return whether more than ``most`` of the user's current entries pass the question's filters."""
    condition = filter_condition(query.filters)
    counted = fill(PASSING, condition=condition) if condition else Fragment(ALL_PASS)
    values = {"user": query.user_id, "kinds": kind_letters(query.filters), "most": most}
    return int(await transaction.value(counted, values) or 0) > most


async def enqueue_index_builds(database: Database, most: int) -> None:
    """Have an index built for every user of more than so many entries who has none."""
    async with database.worker() as transaction:
        await enqueue_index_build(transaction, None, most)


async def enqueue_index_build(transaction: Transaction, user_id: str | None, most: int) -> None:
    """Have an index built for a user (None: for every one) of more than so many entries who has none."""
    await transaction.run(ASK, {"user": user_id, "most": most})


async def has_more_vectors_than(database: Database, user_id: str, space: EmbeddingSpace, most: int) -> bool:
    """Tell whether a user has more than so many current vectors."""
    async with database.user(user_id) as transaction:
        values = {"user": user_id, "space": space.space, "most": most}
        return int(await transaction.value(MANY, values)) > most


async def index_state(database: Database, space: int, user_id: str) -> IndexState:
    """Return the state of a user's index."""
    async with database.user(user_id) as transaction:
        row = await transaction.first(STATE, {"name": index_name(space, user_id)})
    if row is None:
        return "absent"
    if row.building:
        return "building"
    return "ready" if row.valid else "invalid"


async def count_indexes(database: Database) -> int:
    """Return how many such indexes there are."""
    async with database.worker() as transaction:
        return int(await transaction.value(COUNT, {"prefix": PREFIX}))


async def build_index(database: Database, space: EmbeddingSpace, user_id: str) -> None:
    """Build a user's index; nobody waits for it."""
    types = database.search_path
    await database.outside(
        f'CREATE INDEX CONCURRENTLY "{index_name(space.space, user_id)}" ON {{s}}.vectors '
        f"USING hnsw (CAST(v AS {types}.halfvec({space.dims})) {types}.halfvec_ip_ops) "
        f"WHERE user_id = {quote_literal(user_id)} AND space = {space.space} AND current",
        {"maintenance_work_mem": MEMORY},
    )


async def drop_index(database: Database, space: int, user_id: str) -> None:
    """Drop a user's index, if there is one."""
    await _drop(database, index_name(space, user_id))


async def drop_indexes_of_user(database: Database, user_id: str) -> None:
    """Drop the indexes of a user who is gone; one that is being built is dropped by its builder."""
    async with database.worker() as transaction:
        names = [row.name for row in await transaction.all(OF_USER, {"user": user_id, "prefix": PREFIX})]
    for index in names:
        await _drop(database, index)


async def drop_orphaned_indexes(database: Database) -> None:
    """Drop what is left of users and spaces that are gone."""
    async with database.worker() as transaction:
        left = [row.name for row in await transaction.all(LEFT_OVER, {"prefix": PREFIX})]
    for index in left:
        await _drop(database, index)


async def _drop(database: Database, index: str) -> None:
    await database.outside(f'DROP INDEX CONCURRENTLY IF EXISTS {{s}}."{index}"')
