"""Approximate vector search: an HNSW index of their own for users with too many vectors to compare them all.

One index over all users would not do: HNSW searches first and filters afterwards, so that a user with few vectors
would find almost nothing. A partial index (``WHERE user_id = ...``) holds one user's current vectors in one space. Its
name has a hash of the user's id, so that the owner can be found without an id in the name.

An index is built with CREATE INDEX CONCURRENTLY, which blocks no writer, cannot run in a transaction, and leaves an
invalid index behind when it is interrupted; the next build drops that one first.
"""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING, Literal

from neuromem.store.database.database import quote_literal
from neuromem.store.database.planner_settings import PLANNER_INDEX_ONLY
from neuromem.store.database.sql import NOTHING, Fragment, fill
from neuromem.store.queue.job_kinds import INDEX
from neuromem.store.search_index.filters import filter_condition, kind_letters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.domain.query import Query
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.search_index.vectors import EmbeddingSpace

IndexState = Literal["absent", "building", "invalid", "ready"]

INDEX_PREFIX = "vectors_near_"
MIN_EF_SEARCH = 200  # candidates that a search through the index keeps at least (hnsw.ef_search)
MAX_EF_SEARCH = 1_000  # the most that pgvector allows
HNSW_MAX_DEPTH = MAX_EF_SEARCH // 3  # entries to find; the index keeps three candidates for each
# What a build may take (maintenance_work_mem): it is several times slower when the graph does not fit.
BUILD_MEMORY = "256MB"

ITERATIVE_SCAN_SINCE = (0, 8)  # pgvector that goes on searching when a filter leaves too few

# Counts the current entries that pass a question's filters, up to one more than ``:most``.
COUNT_PASSING = """
    SELECT count(*) FROM (
        SELECT FROM {s}.entries e
        WHERE e.user_id = :user AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
          AND e.superseded_at IS NULL AND {condition}
        LIMIT CAST(:most AS bigint) + 1
    ) AS counted
"""
# The same where no filter narrows: the corpora know how many entries there are.
COUNT_ALL_ENTRIES = """
    SELECT sum(entries) FROM {s}.corpora
    WHERE user_id = :user AND kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
"""

COUNT_VECTORS = """
    SELECT count(*) FROM (
        SELECT FROM {s}.vectors WHERE user_id = :user AND space = :space AND current
        LIMIT CAST(:most AS bigint) + 1
    ) AS counted
"""

# The oid of the index of ``users u`` in ``spaces s``; NULL where there is none.
INDEX_OF_USER = "to_regclass('{s}.vectors_near_' || s.space || '_' || left(md5(u.user_id), 16))"
INDEX_READY = fill(
    "EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = {index} AND i.indisvalid)",
    index=Fragment(INDEX_OF_USER),
)

SELECT_INDEX_STATE = """
    SELECT i.indisvalid AS valid, p.index_relid IS NOT NULL AS building
    FROM pg_index i LEFT JOIN pg_stat_progress_create_index p ON p.index_relid = i.indexrelid
    WHERE i.indexrelid = to_regclass('{s}.' || CAST(:name AS text))
"""

ENQUEUE_BUILDS = fill(
    """
    INSERT INTO {s}.jobs (user_id, kind, capability)
    SELECT u.user_id, '{kind}', '{capability}' FROM {s}.users u JOIN {s}.spaces s ON s.active
    WHERE (CAST(:user AS text) IS NULL OR u.user_id = :user) AND u.last_entry > CAST(:most AS bigint)
      AND NOT {ready}
      AND NOT EXISTS (SELECT FROM {s}.jobs j WHERE j.user_id = u.user_id AND j.kind = '{kind}')
""",
    kind=INDEX.name,
    capability=INDEX.capability,
    ready=INDEX_READY,
)

# Indexes whose user or space is gone, and that nobody is building.
SELECT_ORPHANED = """
    SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass('{s}.vectors') AND starts_with(c.relname, :prefix)
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
      AND NOT EXISTS (
          SELECT FROM {s}.spaces s CROSS JOIN {s}.users u
          WHERE c.relname = :prefix || s.space || '_' || left(md5(u.user_id), 16))
"""

SELECT_INDEXES_OF_USER = fill(
    """
    SELECT c.relname AS name FROM (SELECT CAST(:user AS text)) AS u (user_id) CROSS JOIN {s}.spaces s
    JOIN pg_class c ON c.oid = {index}
    WHERE NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
""",
    index=Fragment(INDEX_OF_USER),
)

COUNT_INDEXES = """
    SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass('{s}.vectors') AND starts_with(c.relname, :prefix)
"""

NEAREST_THROUGH_INDEX = """
    near AS MATERIALIZED (
        SELECT v.entry FROM {s}.vectors v
        WHERE v.user_id = :user AND v.space = :space AND v.current
          AND v.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) {passes}
        ORDER BY CAST(v.v AS halfvec({dims})) <#> CAST(:vector AS halfvec({dims}))
        LIMIT CAST(:depth AS int)
    )
"""

# As a scalar subquery it stays a filter of the index scan, whose order is that of the distances.
PASSES_FILTERS = "AND (SELECT {condition} FROM {s}.entries e WHERE e.user_id = :user AND e.entry = v.entry)"


def index_name(space: int, user_id: str) -> str:
    """Return the name of a user's index in a space."""
    return f"{INDEX_PREFIX}{space}_{md5(user_id.encode(), usedforsecurity=False).hexdigest()[:16]}"


def hnsw_planner_settings(database: Database, depth: int) -> Mapping[str, str]:
    """Return the settings under which PostgreSQL uses the index whatever it estimates.

    Without sorting, the order can only come from the index.

    Args:
        database: The database, which knows pgvector's version.
        depth: How many entries the search has to find.
    """
    settings = {
        **PLANNER_INDEX_ONLY,
        "enable_sort": "off",
        "hnsw.ef_search": str(min(MAX_EF_SEARCH, max(MIN_EF_SEARCH, 3 * depth))),
    }
    if database.pgvector >= ITERATIVE_SCAN_SINCE:
        settings["hnsw.iterative_scan"] = "strict_order"
    return settings


def hnsw_search_expression(space: EmbeddingSpace, condition: Fragment) -> Fragment:
    """Return the common table expression ``near (entry)``, found through the user's index.

    It needs ``:user, :space, :kinds, :vector, :depth`` and gives ``:depth`` of the nearest entries, or fewer.

    Args:
        space: The embedding space that is searched.
        condition: What narrows ``entries e``; empty when nothing does.
    """
    passes = fill(PASSES_FILTERS, condition=condition) if condition else NOTHING
    return fill(NEAREST_THROUGH_INDEX, passes=passes, dims=str(space.dims))


async def more_entries_pass_than(transaction: Transaction, query: Query, most: int) -> bool:
    """Return whether more than ``most`` of the user's current entries pass the question's filters."""
    condition = filter_condition(query.filters)
    counted = fill(COUNT_PASSING, condition=condition) if condition else Fragment(COUNT_ALL_ENTRIES)
    values = {"user": query.user_id, "kinds": kind_letters(query.filters), "most": most}
    return int(await transaction.value(counted, values) or 0) > most


async def enqueue_index_builds(database: Database, most: int) -> None:
    """Enqueue the building of an index for every user of more than ``most`` entries who has none."""
    async with database.worker() as transaction:
        await enqueue_index_build(transaction, None, most)


async def enqueue_index_build(transaction: Transaction, user_id: str | None, most: int) -> None:
    """Enqueue the building of an index for a user of more than ``most`` entries who has none; None: for all users."""
    await transaction.run(ENQUEUE_BUILDS, {"user": user_id, "most": most})


async def has_more_vectors_than(database: Database, user_id: str, space: EmbeddingSpace, most: int) -> bool:
    """Return whether a user has more than ``most`` current vectors in a space."""
    async with database.user(user_id) as transaction:
        values = {"user": user_id, "space": space.space, "most": most}
        return int(await transaction.value(COUNT_VECTORS, values)) > most


async def index_state(database: Database, space: int, user_id: str) -> IndexState:
    """Return the state of a user's index in a space; "invalid" when its build was interrupted."""
    async with database.user(user_id) as transaction:
        row = await transaction.first(SELECT_INDEX_STATE, {"name": index_name(space, user_id)})
    if row is None:
        return "absent"
    if row.building:
        return "building"
    return "ready" if row.valid else "invalid"


async def count_indexes(database: Database) -> int:
    """Return how many users' indexes there are in the schema."""
    async with database.worker() as transaction:
        return int(await transaction.value(COUNT_INDEXES, {"prefix": INDEX_PREFIX}))


async def build_index(database: Database, space: EmbeddingSpace, user_id: str) -> None:
    """Build a user's index in a space, without blocking writers; it takes as long as that takes."""
    types = database.search_path
    await database.outside(
        f'CREATE INDEX CONCURRENTLY "{index_name(space.space, user_id)}" ON {{s}}.vectors '
        f"USING hnsw (CAST(v AS {types}.halfvec({space.dims})) {types}.halfvec_ip_ops) "
        f"WHERE user_id = {quote_literal(user_id)} AND space = {space.space} AND current",
        {"maintenance_work_mem": BUILD_MEMORY},
    )


async def drop_index(database: Database, space: int, user_id: str) -> None:
    """Drop a user's index in a space, if there is one."""
    await _drop(database, index_name(space, user_id))


async def drop_indexes_of_user(database: Database, user_id: str) -> None:
    """Drop the indexes of a user who was deleted; one that is being built is dropped by its builder."""
    async with database.worker() as transaction:
        rows = await transaction.all(SELECT_INDEXES_OF_USER, {"user": user_id})
    for row in rows:
        await _drop(database, row.name)


async def drop_orphaned_indexes(database: Database) -> None:
    """Drop the indexes whose user or space is gone."""
    async with database.worker() as transaction:
        rows = await transaction.all(SELECT_ORPHANED, {"prefix": INDEX_PREFIX})
    for row in rows:
        await _drop(database, row.name)


async def _drop(database: Database, index: str) -> None:
    await database.outside(f'DROP INDEX CONCURRENTLY IF EXISTS {{s}}."{index}"')
