"""The active embedding space, the vectors of its entries, and the exact vector search."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgvector import HalfVector

from neuromem.errors import EmbeddingSpaceError, ProviderResponseError
from neuromem.store.database.sql import Fragment, all_of, fill
from neuromem.store.queue.job_kinds import EMBED
from neuromem.store.search_index.centroids import CENTROID_OUTGROWN, store_centroid
from neuromem.store.search_index.filters import kinds_condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import Filters
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

ACTIVE_SPACE = "SELECT space, provider, model, dims, revision, baseline_cosine FROM {s}.spaces WHERE active"

INSERT_FIRST_SPACE = """
    INSERT INTO {s}.spaces (provider, model, dims, revision, active)
    VALUES (:provider, :model, :dims, :revision, true)
    ON CONFLICT DO NOTHING
"""

SET_BASELINE_COSINE = (
    "UPDATE {s}.spaces SET baseline_cosine = :cosine WHERE space = :space AND baseline_cosine IS NULL"
)

INSERT_VECTORS = fill(
    """
    WITH stored AS (
        INSERT INTO {s}.vectors (user_id, space, entry, kind, current, v)
        SELECT e.user_id, :space, e.entry, e.kind, e.superseded_at IS NULL, n.v
        FROM unnest(CAST(:entry AS int[]), CAST(:vector AS halfvec[])) AS n(entry, v)
        JOIN {s}.entries e ON e.user_id = :user AND e.entry = n.entry
        ON CONFLICT (user_id, space, entry, part) DO UPDATE SET v = excluded.v, current = excluded.current
    )
    {centroid_outgrown}
""",
    centroid_outgrown=CENTROID_OUTGROWN,
)

JOIN_ENTRIES_OF_VECTORS = "JOIN {s}.entries e ON e.user_id = v.user_id AND e.entry = v.entry"

# "+ 0" keeps the planner from reading the order from an index, so that the search is exact with any statistics.
NEAREST_EXACT = """
    near AS (
        SELECT v.entry FROM {s}.vectors v {join}
        WHERE v.user_id = :user AND v.space = :space AND {condition}
        ORDER BY (v.v <#> CAST(:vector AS halfvec)) + 0, v.entry
        LIMIT CAST(:depth AS int)
    )
"""


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """An embedding space: the vectors of one model; only vectors of the same space can be compared.

    Attributes:
        space: Its number.
        provider: The provider of the model.
        model: The name of the model.
        dims: The number of dimensions of its vectors.
        revision: The revision of the model; empty where it has none.
        baseline_cosine: The mean cosine of unrelated texts; None: not measured.
    """

    space: int
    provider: str
    model: str
    dims: int
    revision: str
    baseline_cosine: float | None

    @property
    def capability(self) -> str:
        """The capability that a worker needs to embed for this space, as jobs name it."""
        return EMBED.capability_for(self.space)

    def __str__(self) -> str:
        revision = f", revision {self.revision!r}" if self.revision else ""
        return f"{self.provider}:{self.model} ({self.dims} dimensions{revision})"


async def open_space(database: Database, embedding: EmbeddingProvider) -> EmbeddingSpace:
    """Return the active space of the schema; where it has no space yet, create that of the model.

    Args:
        database: The database.
        embedding: The model that the schema is opened with.

    Raises:
        EmbeddingSpaceError: The active space is that of another model.
    """
    wanted = EmbeddingSpace(0, embedding.provider, embedding.model, embedding.dims, embedding.revision, None)
    async with database.worker() as transaction:
        row = await transaction.first(ACTIVE_SPACE)
        if row is None:
            await transaction.run(
                INSERT_FIRST_SPACE,
                {
                    "provider": wanted.provider,
                    "model": wanted.model,
                    "dims": wanted.dims,
                    "revision": wanted.revision,
                },
            )
            row = await transaction.first(ACTIVE_SPACE)
    if row is None:
        raise EmbeddingSpaceError(f"Schema {database.schema!r} has embedding spaces, but none is active.")
    space = space_of(row)
    if replace(space, space=0, baseline_cosine=None) != wanted:
        raise EmbeddingSpaceError(
            f"Schema {database.schema!r} was filled with the embedding {space}, and was opened with {wanted}. "
            "Open it with the model it was filled with, use another schema, or change the model of this one: run "
            "`neuromem reembed` with the new model, or call reembed() with it where the old one is open."
        )
    return space


async def active_space(database: Database) -> EmbeddingSpace:
    """Return the active space, the one that recall searches."""
    async with database.worker() as transaction:
        row = await transaction.first(ACTIVE_SPACE)
    assert row is not None  # there is one since the schema was first opened
    return space_of(row)


def space_of(row: Row) -> EmbeddingSpace:
    """Return the space in a row with the columns of `ACTIVE_SPACE`."""
    return EmbeddingSpace(row.space, row.provider, row.model, row.dims, row.revision, row.baseline_cosine)


class ActiveSpaces:
    """The embedding spaces whose model this process has.

    Attributes:
        current: The active space as far as this process knows; another process may have changed it.
    """

    def __init__(self, space: EmbeddingSpace) -> None:
        self.current = space
        self._usable = {space.space: space}

    def switch(self, space: EmbeddingSpace) -> None:
        """Make a space whose model this process has the current one."""
        self.current = self._usable[space.space] = space

    async def follow(self, transaction: Transaction, schema: str) -> EmbeddingSpace:
        """Make the space that is active in the database the current one, and return it.

        Raises:
            EmbeddingSpaceError: This process lacks its model.
        """
        row = await transaction.first(ACTIVE_SPACE)
        assert row is not None
        space = space_of(row)
        if space.space not in self._usable:
            raise EmbeddingSpaceError(
                f"Schema {schema!r} was re-embedded with {space} since this NeuroMemory was opened with "
                f"{self.current}. Open it anew with the new model; nothing that was stored meanwhile is lost."
            )
        self.current = self._usable[space.space]
        return self.current


def mean_cosine(*groups: Sequence[Sequence[float]]) -> float:
    """Return the mean cosine over all pairs of different vectors of a group, averaged over the groups."""
    means = []
    for group in groups:
        units = [[x / (math.sqrt(math.fsum(y * y for y in v)) or 1.0) for x in v] for v in group]
        total = [math.fsum(column) for column in zip(*units, strict=True)]
        n = len(units)
        means.append((math.fsum(x * x for x in total) - n) / (n * (n - 1)))
    return math.fsum(means) / len(means)


async def record_baseline_cosine(database: Database, space: EmbeddingSpace, baseline_cosine: float) -> None:
    """Store the mean cosine of unrelated texts in a space, unless one is stored already."""
    async with database.worker() as transaction:
        await transaction.run(SET_BASELINE_COSINE, {"cosine": baseline_cosine, "space": space.space})


def normalized_vector(vector: Sequence[float], space: EmbeddingSpace, provider: str) -> HalfVector | None:
    """Return a vector normalized and rounded to half precision; None for a zero vector.

    Args:
        vector: What the model returned.
        space: The space that it is for.
        provider: Whom an error names.

    Raises:
        ProviderResponseError: It has not as many numbers as the space has dimensions, or not all of them are finite.
    """
    try:
        norm = math.hypot(*vector)
    except TypeError as error:
        raise ProviderResponseError(
            f"{provider} returned a vector that is not made of numbers.", provider=provider
        ) from error
    if len(vector) != space.dims:
        raise ProviderResponseError(
            f"{provider} returned a vector of {len(vector)} numbers where the space {space} has {space.dims}; "
            "check the model and dims given to the provider.",
            provider=provider,
        )
    if not math.isfinite(norm):
        raise ProviderResponseError(
            f"{provider} returned a vector that is not made of finite numbers.", provider=provider
        )
    return HalfVector([x / norm for x in vector]) if norm > 0 else None


async def insert_vectors(
    transaction: Transaction, user_id: str, space: EmbeddingSpace, vectors: Sequence[tuple[int, HalfVector]]
) -> None:
    """Store vectors of entries, and the user's centroid when that is due.

    Args:
        transaction: A transaction of the user. The job that the vectors are for has to be acknowledged in it before:
            the centroid is stored only when no embedding job of the user is left.
        user_id: The user.
        space: The space of the vectors.
        vectors: Pairs of an entry and its vector; entries that were erased meanwhile are ignored.
    """
    outgrown = await transaction.value(
        INSERT_VECTORS,
        {
            "user": user_id,
            "space": space.space,
            "entry": [entry for entry, _ in vectors],
            "vector": [vector for _, vector in vectors],
        },
    )
    if outgrown:
        await store_centroid(transaction, user_id, space.space)


def exact_search_expression(filters: Filters, condition: Fragment) -> Fragment:
    """Return the common table expression ``near (entry)``: the ``:depth`` nearest entries, found by comparing all.

    It needs ``:user, :space, :vector, :depth``.

    Args:
        filters: ``kinds`` and ``as_of`` of these say which vectors are compared.
        condition: What narrows ``entries e`` further; empty when nothing does.
    """
    current = "v.current" if filters.as_of is None else ""
    narrowed = all_of([Fragment(current), Fragment(kinds_condition("v", filters)), condition])
    return fill(NEAREST_EXACT, join=JOIN_ENTRIES_OF_VECTORS if condition else "", condition=narrowed)
