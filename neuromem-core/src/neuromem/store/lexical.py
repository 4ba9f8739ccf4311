"""BM25 in plain SQL: exact, per user and kind, document frequencies counted from the postings.

The variant is bm25s' ``lucene``: ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))`` and
``tf / (tf + k1 * (1 - b + b * length / average))`` (Robertson & Zaragoza 2009; Kamphuis et al., ECIR 2020).
Filters choose among the scored; they change neither N nor df nor the average. Under ``as_of`` all three are those
of the rows visible then.

A lateral subquery with OFFSET 0 is looked up once per row of what stands before it, through the index made for it:
the plan does not depend on what statistics the planner has, which in a young database are none.

The fragments here are common table expressions for `store.probe`. They take ``:user, :kinds, :terms, :counts, :k1,
:b`` and give ``scored (kind, entry, score, share)``, where ``share`` is the part of the question's idf that the
entry's words make up, in [0, 1].
"""

from __future__ import annotations

from neuromem.store.visible import visible_at

TERMS = """
    q AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:terms AS text[]), CAST(:counts AS int[])) AS q(term, n)
    )
"""

NOW = """
    hits AS MATERIALIZED (
        SELECT p.kind, q.term, p.entry, p.tf, p.length, q.n FROM q CROSS JOIN LATERAL (
            SELECT p.kind, p.entry, p.tf, p.length FROM {s}.postings p
            WHERE p.user_id = :user AND p.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
              AND p.term = q.term AND p.current
            OFFSET 0
        ) AS p
    ), corpus AS (
        SELECT kind, entries::float8 AS n, tokens::float8 / greatest(entries, 1) AS average
        FROM {s}.corpora WHERE user_id = :user
    )
"""

THEN = """
    seen AS MATERIALIZED (
        SELECT e.entry, e.kind, e.length FROM {s}.entries e
        WHERE e.user_id = :user AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) AND {visible}
    ), hits AS MATERIALIZED (
        SELECT p.kind, q.term, p.entry, p.tf, p.length, q.n FROM q CROSS JOIN LATERAL (
            SELECT p.kind, p.entry, p.tf, p.length FROM {s}.postings p
            WHERE p.user_id = :user AND p.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
              AND p.term = q.term AND p.current
            UNION ALL
            SELECT p.kind, p.entry, p.tf, p.length FROM {s}.postings p
            WHERE p.user_id = :user AND p.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
              AND p.term = q.term AND NOT p.current
        ) AS p
        JOIN seen ON seen.entry = p.entry
    ), corpus AS (
        SELECT kind, count(*)::float8 AS n, avg(length)::float8 AS average FROM seen GROUP BY kind
    )
""".replace("{visible}", visible_at("e"))

SCORED = """
    weight AS MATERIALIZED (
        SELECT c.kind, q.term, c.average, CAST(:k1 AS float8) AS k1, CAST(:b AS float8) AS b,
               ln(1 + (c.n - count(h.entry) + 0.5) / (count(h.entry) + 0.5))::float8 AS idf
        FROM corpus c CROSS JOIN q LEFT JOIN hits h ON h.kind = c.kind AND h.term = q.term
        GROUP BY c.kind, q.term, c.n, c.average
    ), total AS (
        SELECT kind, sum(idf) AS idf FROM weight GROUP BY kind
    ), scored AS MATERIALIZED (
        SELECT h.kind, h.entry,
               sum(h.n * w.idf * h.tf / (h.tf + w.k1 * (1 - w.b + w.b * h.length / w.average))) AS score,
               sum(w.idf) / min(t.idf) AS share
        FROM hits h JOIN weight w USING (kind, term) JOIN total t USING (kind)
        GROUP BY h.kind, h.entry
    )
"""

# Stands in where the question has no words or nobody asks for them.
NOTHING = """
    scored AS (
        SELECT 'm'::"char" AS kind, 0 AS entry, 0::float8 AS score, 0::float8 AS share WHERE false
    )
"""


def expressions(*, tokens: bool, past: bool) -> str:
    """Return the expressions that give ``scored``."""
    return ",".join((TERMS, THEN if past else NOW, SCORED)) if tokens else NOTHING
