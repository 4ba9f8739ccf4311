"""BM25 in plain SQL: exact, per user and kind, document frequencies counted from the postings.

The variant is bm25s' ``lucene``: ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))`` and
``tf / (tf + k1 * (1 - b + b * length / average))`` (Robertson & Zaragoza 2009; Kamphuis et al., ECIR 2020).
Filters choose among the scored; they change neither N nor df nor the average. Under ``as_of`` all three are those
of the rows visible then.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.store import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.config import BM25Settings
    from neuromem.domain.recall import Filters
    from neuromem.store.engine import Transaction

NOW = """
    WITH q AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:terms AS text[]), CAST(:counts AS int[])) AS q(term, n)
    ), hits AS MATERIALIZED (
        SELECT p.kind, p.term, p.entry, p.tf, p.length, q.n FROM q
        JOIN {s}.postings p ON p.user_id = :user AND p.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
                           AND p.term = q.term AND p.current
    ), corpus AS (
        SELECT kind, entries::float8 AS n, tokens::float8 / greatest(entries, 1) AS average
        FROM {s}.corpora WHERE user_id = :user
    )
"""

THEN = """
    WITH q AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:terms AS text[]), CAST(:counts AS int[])) AS q(term, n)
    ), seen AS MATERIALIZED (
        SELECT e.entry, e.kind, e.length FROM {s}.entries e
        WHERE e.user_id = :user AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) AND {visible}
    ), hits AS MATERIALIZED (
        SELECT p.kind, p.term, p.entry, p.tf, p.length, q.n FROM q
        JOIN {s}.postings p ON p.user_id = :user AND p.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
                           AND p.term = q.term
        JOIN seen ON seen.entry = p.entry
    ), corpus AS (
        SELECT kind, count(*)::float8 AS n, avg(length)::float8 AS average FROM seen GROUP BY kind
    )
"""

SCORE = """
    , weight AS (
        SELECT c.kind, q.term, q.n, c.average, count(h.entry) AS df,
               ln(1 + (c.n - count(h.entry) + 0.5) / (count(h.entry) + 0.5)) AS idf
        FROM corpus c CROSS JOIN q LEFT JOIN hits h ON h.kind = c.kind AND h.term = q.term
        GROUP BY c.kind, q.term, q.n, c.n, c.average
    ), scored AS (
        SELECT h.kind, h.entry,
               sum(h.n * w.idf * h.tf / (h.tf + :k1 * (1 - :b + :b * h.length / w.average))) AS score,
               sum(w.idf) AS matched
        FROM hits h JOIN weight w USING (kind, term) GROUP BY h.kind, h.entry
    )
    SELECT s.kind::text AS kind, s.entry, s.score, s.matched / t.total AS share, {columns}
    FROM scored s
    JOIN (SELECT kind, sum(idf) AS total FROM weight GROUP BY kind) t ON t.kind = s.kind
    JOIN {s}.entries e ON e.user_id = :user AND e.entry = s.entry
    WHERE {condition}
    ORDER BY s.score DESC, s.entry
    LIMIT :depth
"""

# The best by score are few: entries are looked up for them alone unless a filter needs them for all.
SCORE_FIRST = SCORE.replace(
    "FROM scored s\n", "FROM (SELECT * FROM scored ORDER BY score DESC, entry LIMIT :depth) s\n"
)

COLUMNS = "e.item, e.session_id, e.position"


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that shares words with the question; ``share`` is its part of the question's idf, in [0, 1]."""

    kind: str
    entry: int
    item: str
    score: float
    share: float
    session_id: str | None
    position: int | None


async def search(
    transaction: Transaction,
    user_id: str,
    tokens: Sequence[str],
    filters: Filters,
    depth: int,
    settings: BM25Settings,
) -> list[Match]:
    """Return the best ``depth`` entries by BM25, best first, ties in the order they were stored."""
    if not tokens:
        return []
    counts = Counter(tokens)
    condition, params = visible.condition(filters)
    head = NOW if filters.as_of is None else THEN.replace("{visible}", visible.visible_at("e"))
    body = (SCORE if condition else SCORE_FIRST).replace("{columns}", COLUMNS)
    rows = await transaction.all(
        head + body.replace("{condition}", condition or "true"),
        {
            "user": user_id, "terms": list(counts), "counts": list(counts.values()),
            "kinds": visible.kinds(filters), "k1": settings.k1, "b": settings.b, "depth": depth, **params,
        },
    )  # fmt: skip
    return [
        Match(row.kind, row.entry, str(row.item), row.score, row.share, row.session_id, row.position)
        for row in rows
    ]
