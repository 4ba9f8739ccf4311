"""The one statement behind the built-in retrievers.

It scores every entry that shares words with the question and every vector of the user, takes the best of both, adds
the turns around them, and gives each of these both scores: fusion and conversation context need the word score of
what was found by meaning and the other way round.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.store import lexical, vectors, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.config import BM25Settings
    from neuromem.domain.recall import Query
    from neuromem.store.engine import Transaction

REACH = 2  # turns before and after a found one that come along
SAMPLE = 100  # vectors that the user's middle is made of
SHRINK = 10  # so many vectors give half of it

FIND = """
    , best AS (
        SELECT entry FROM (
            SELECT s.entry FROM scored s {join} WHERE {condition}
            ORDER BY s.score DESC, s.entry LIMIT CAST(:depth AS int)
        ) AS by_words
        UNION
        SELECT entry FROM (SELECT entry FROM near ORDER BY distance, entry LIMIT CAST(:depth AS int)) AS by_meaning
    ), found AS MATERIALIZED (
        SELECT e.* FROM best CROSS JOIN LATERAL (
            SELECT e.entry, e.kind, e.item, e.session_id, e.position FROM {s}.entries e
            WHERE e.user_id = :user AND e.entry = best.entry
            OFFSET 0
        ) AS e
    ), around AS MATERIALIZED (
        SELECT e.* FROM found f CROSS JOIN LATERAL (
            SELECT e.entry, e.kind, e.item, e.session_id, e.position FROM {s}.entries e
            WHERE e.user_id = :user AND e.session_id = f.session_id AND e.kind = 'm'
              AND e.position BETWEEN f.position - CAST(:reach AS int) AND f.position + CAST(:reach AS int)
              AND {condition}
            OFFSET 0
        ) AS e
        WHERE f.kind = 'm'
        UNION
        SELECT * FROM found
    )
    SELECT a.kind::text AS kind, a.entry, a.item, a.session_id, a.position, s.score, s.share,
           -n.distance AS cosine, v.common, m.size, -(CAST(:vector AS halfvec) <#> m.direction) AS asked
    FROM around a
    LEFT JOIN middle m ON true
    LEFT JOIN LATERAL (
        SELECT -(v.v <#> m.direction) AS common FROM {s}.vectors v
        WHERE v.user_id = :user AND v.space = :space AND v.entry = a.entry AND v.part = 0
        OFFSET 0
    ) AS v ON true
    LEFT JOIN scored s ON s.entry = a.entry
    LEFT JOIN near n ON n.entry = a.entry
"""


@dataclass(frozen=True, slots=True)
class Probed:
    """One entry with what the question shares with it; None where it shares nothing.

    ``cosine`` is that of question and text; ``contrast`` the same after what all the user's texts have in common
    was taken from both (a model's vectors crowd into a corner; the differences tell).
    """

    kind: str
    entry: int
    item: str
    session_id: str | None
    position: int | None
    score: float | None
    share: float | None
    cosine: float | None
    contrast: float | None


async def run(
    transaction: Transaction,
    query: Query,
    *,
    tokens: Sequence[str],
    space: int | None,
    vector: str | None,
    last_entry: int,
    bm25: BM25Settings,
) -> list[Probed]:
    """Return the best ``query.depth`` entries by words and by meaning, and the turns around them."""
    counts = Counter(tokens)
    condition, params = visible.condition(query.filters)
    past = query.filters.as_of is not None
    sql = (
        "WITH "
        + lexical.expressions(tokens=bool(counts), past=past)
        + ","
        + vectors.expressions(vector=vector is not None, condition=condition, past=past)
        + FIND.replace(
            "{join}", "JOIN {s}.entries e ON e.user_id = :user AND e.entry = s.entry" if condition else ""
        )
    ).replace("{condition}", condition or "true")
    rows = await transaction.all(
        sql,
        {
            "user": query.user_id, "kinds": visible.kinds(query.filters), "depth": query.depth, "reach": REACH,
            "terms": list(counts), "counts": list(counts.values()), "k1": bm25.k1, "b": bm25.b,
            "space": space, "vector": vector, "sample": _sample(last_entry), "shrink": SHRINK, **params,
        },
    )  # fmt: skip
    return [
        Probed(
            row.kind, row.entry, str(row.item), row.session_id, row.position, row.score, row.share, row.cosine,
            _contrast(row),
        )
        for row in rows
    ]  # fmt: skip


def _sample(last_entry: int) -> list[int]:
    """Return entries spread evenly over all of a user's."""
    return sorted({1 + i * (last_entry - 1) // SAMPLE for i in range(SAMPLE + 1)}) if last_entry else []


def _contrast(row: Any) -> float | None:
    """Return the cosine of (question - middle) and (text - middle), from inner products alone."""
    if row.cosine is None or row.common is None or row.size is None:
        return row.cosine if isinstance(row.cosine, float) else None
    size = row.size
    question = 1.0 - 2.0 * size * row.asked + size * size
    text = 1.0 - 2.0 * size * row.common + size * size
    if question <= 1e-6 or text <= 1e-6:
        return 0.0
    inner = row.cosine - size * row.common - size * row.asked + size * size
    return float(max(-1.0, min(1.0, inner / math.sqrt(question * text))))
