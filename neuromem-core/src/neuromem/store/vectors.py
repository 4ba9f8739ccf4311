"""Embedding spaces and the exact vector search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.errors import EmbeddingSpaceError, ProviderResponseError
from neuromem.store import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.recall import Filters
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.engine import Database, Transaction

ACTIVE = "SELECT space, provider, model, dims, revision, background FROM {s}.spaces WHERE active"

OPEN = """
    INSERT INTO {s}.spaces (provider, model, dims, revision, active)
    VALUES (:provider, :model, :dims, :revision, true)
    ON CONFLICT DO NOTHING
"""

INSERT = """
    INSERT INTO {s}.vectors (user_id, space, entry, kind, current, v)
    SELECT e.user_id, :space, e.entry, e.kind, e.superseded_at IS NULL, n.v::halfvec
    FROM unnest(CAST(:entry AS int[]), CAST(:vector AS text[])) AS n(entry, v)
    JOIN {s}.entries e ON e.user_id = :user AND e.entry = n.entry
    ON CONFLICT (user_id, space, entry, part) DO UPDATE SET v = excluded.v, current = excluded.current
"""

# "+ 0" keeps every index out of the ordering: this scan is exact whatever the planner thinks.
EXACT = """
    SELECT v.kind::text AS kind, v.entry, -v.distance AS cosine, e.item, e.session_id, e.position
    FROM (
        SELECT v.entry, v.kind, (v.v <#> CAST(:vector AS halfvec)) + 0 AS distance
        FROM {s}.vectors v {join}
        WHERE v.user_id = :user AND v.space = :space
          AND v.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) AND {condition}
        ORDER BY distance, v.entry
        LIMIT :depth
    ) v
    JOIN {s}.entries e ON e.user_id = :user AND e.entry = v.entry
    ORDER BY v.distance, v.entry
"""


@dataclass(frozen=True, slots=True)
class Space:
    """The active embedding space; ``background`` is the cosine that unrelated texts reach, None: not measured."""

    space: int
    provider: str
    model: str
    dims: int
    revision: str
    background: float | None

    @property
    def needs(self) -> str:
        """What a worker must have to embed for this space, as jobs name it."""
        return f"space:{self.space}"

    def __str__(self) -> str:
        revision = f", revision {self.revision!r}" if self.revision else ""
        return f"{self.provider}:{self.model} ({self.dims} dimensions{revision})"


@dataclass(frozen=True, slots=True)
class Neighbor:
    """An entry near the question; ``cosine`` lies in [-1, 1]."""

    kind: str
    entry: int
    item: str
    cosine: float
    session_id: str | None
    position: int | None


async def open_space(database: Database, embedding: EmbeddingProvider) -> Space:
    """Return the schema's space, making it when the schema has none; another model's is an error."""
    wanted = {
        "provider": embedding.provider, "model": embedding.model, "dims": embedding.dims,
        "revision": embedding.revision,
    }  # fmt: skip
    async with database.worker() as transaction:
        row = await transaction.first(ACTIVE)
        if row is None:
            await transaction.run(OPEN, wanted)
            row = await transaction.first(ACTIVE)
    if row is None:
        raise EmbeddingSpaceError(f"Schema {database.schema!r} has embedding spaces, but none is active.")
    space = Space(row.space, row.provider, row.model, row.dims, row.revision, row.background)
    asked = Space(space.space, background=None, **wanted)
    if (space.provider, space.model, space.dims, space.revision) != tuple(wanted.values()):
        raise EmbeddingSpaceError(
            f"Schema {database.schema!r} was filled with the embedding {space}, and was opened with {asked}. "
            "Open it with the model it was filled with, use another schema, or change the model of this one "
            "with reembed()."
        )
    return space


def literal(vector: Sequence[float], space: Space, provider: str) -> str | None:
    """Return a vector normalized and written as pgvector reads it; None for a zero vector.

    Raises `ProviderResponseError` when its length or its numbers are wrong.
    """
    if len(vector) != space.dims:
        raise ProviderResponseError(
            f"{provider} returned a vector of {len(vector)} numbers where the space {space} has {space.dims}; "
            "check the model and dims given to the provider.",
            provider=provider,
        )
    norm = math.sqrt(math.fsum(x * x for x in vector))
    if not math.isfinite(norm):
        raise ProviderResponseError(
            f"{provider} returned a vector that is not made of finite numbers.", provider=provider
        )
    return "[" + ",".join(f"{x / norm:.6g}" for x in vector) + "]" if norm > 0 else None


async def insert(
    transaction: Transaction, user_id: str, space: Space, vectors: Sequence[tuple[int, str]]
) -> None:
    """Store vectors (entry, literal); entries that are gone by now are passed over."""
    await transaction.run(
        INSERT,
        {
            "user": user_id,
            "space": space.space,
            "entry": [entry for entry, _ in vectors],
            "vector": [vector for _, vector in vectors],
        },
    )


async def search(
    transaction: Transaction, user_id: str, space: Space, vector: str, filters: Filters, depth: int
) -> list[Neighbor]:
    """Return the ``depth`` entries with the highest cosine, exactly, best first."""
    condition, params = visible.condition(filters)
    terms = [condition] if condition else []
    if filters.as_of is None:
        terms.append("v.current")
    join = "JOIN {s}.entries e ON e.user_id = v.user_id AND e.entry = v.entry" if condition else ""
    rows = await transaction.all(
        EXACT.replace("{join}", join).replace("{condition}", " AND ".join(terms) or "true"),
        {
            "user": user_id, "space": space.space, "vector": vector, "kinds": visible.kinds(filters),
            "depth": depth, **params,
        },
    )  # fmt: skip
    return [
        Neighbor(row.kind, row.entry, str(row.item), row.cosine, row.session_id, row.position) for row in rows
    ]
