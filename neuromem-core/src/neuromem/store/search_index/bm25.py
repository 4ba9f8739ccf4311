"""BM25 in plain SQL: exact, per user and kind, document frequencies counted from the postings.

The variant is bm25s' ``lucene``: ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))`` and
``tf / (tf + k1 * (1 - b + b * length / average))`` (Robertson & Zaragoza 2009; Kamphuis et al., ECIR 2020).
Filters choose among the scored; they change neither N nor df nor the average. Under ``as_of`` all three are those
of the rows visible then.

A lateral subquery with OFFSET 0 is executed once per row of the table before it, through the index made for it: the
plan does not depend on statistics, which a new database does not have yet.

`bm25_expressions` gives common table expressions for a statement that needs ``:user``:
``scored (kind, entry, score, matched, words)`` and ``total (kind, idf)``. ``matched / idf`` is the part of the
question's idf that an entry's words make up, in [0, 1]; names of speakers do not count in it. ``words`` has one bit for
each of the question's words that the entry has; from the 63rd on they share one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from neuromem.store.database.sql import Fragment, fill
from neuromem.store.search_index.filters import current_version, kind_letters, kinds_condition

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from neuromem.config import BM25Settings
    from neuromem.domain.query import Filters

QUESTION_TERMS = """
    q AS MATERIALIZED (
        SELECT term, n, topical, 1::bigint << CAST(least(place, 63) - 1 AS int) AS bit
        FROM unnest(CAST(:terms AS text[]), CAST(:counts AS int[]), CAST(:topical AS bool[]))
            WITH ORDINALITY AS q(term, n, topical, place)
    )
"""

# A term's postings are counted first and read then: that reads its index pages twice, which costs less than keeping
# the rows in order to count them.
PRESENT_HITS = """
    weight AS MATERIALIZED (
        SELECT c.kind, q.term, q.n, q.topical, q.bit, c.tokens::float8 / greatest(c.entries, 1) AS average,
               ln(1 + (c.entries - d.df + 0.5::float8) / (d.df + 0.5::float8)) AS idf
        FROM {s}.corpora c CROSS JOIN q CROSS JOIN LATERAL (
            SELECT count(*) AS df FROM {s}.postings p
            WHERE p.user_id = :user AND p.kind = c.kind AND p.term = q.term AND p.current
        ) AS d
        WHERE c.user_id = :user AND c.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
    ), hits AS (
        SELECT w.kind, w.n, w.topical, w.bit, w.average, w.idf, p.entry, p.tf, p.length
        FROM weight w CROSS JOIN LATERAL (
            SELECT p.entry, p.tf, p.length FROM {s}.postings p
            WHERE p.user_id = :user AND p.kind = w.kind AND p.term = w.term AND p.current
            OFFSET 0
        ) AS p
    )
"""

PAST_HITS = """
    seen AS MATERIALIZED (
        SELECT e.entry, e.kind, e.length FROM {s}.entries e
        WHERE e.user_id = :user AND {of_kinds} AND {visible}
    ), posted AS MATERIALIZED (
        SELECT p.kind, q.term, p.entry, p.tf, p.length FROM q CROSS JOIN LATERAL (
            SELECT p.kind, p.entry, p.tf, p.length FROM {s}.postings p
            WHERE p.user_id = :user AND p.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
              AND p.term = q.term AND p.current
            UNION ALL
            SELECT p.kind, p.entry, p.tf, p.length FROM {s}.postings p
            WHERE p.user_id = :user AND p.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
              AND p.term = q.term AND NOT p.current
        ) AS p
        JOIN seen ON seen.entry = p.entry
    ), weight AS MATERIALIZED (
        SELECT c.kind, q.term, q.n, q.topical, q.bit, c.average,
               ln(1 + (c.n - count(p.entry) + 0.5) / (count(p.entry) + 0.5)) AS idf
        FROM (SELECT kind, count(*)::float8 AS n, avg(length)::float8 AS average FROM seen GROUP BY kind) AS c
        CROSS JOIN q LEFT JOIN posted p ON p.kind = c.kind AND p.term = q.term
        GROUP BY c.kind, q.term, q.n, q.topical, q.bit, c.n, c.average
    ), hits AS (
        SELECT w.kind, w.n, w.topical, w.bit, w.average, w.idf, p.entry, p.tf, p.length
        FROM posted p JOIN weight w USING (kind, term)
    )
"""

SCORES = """
    total AS MATERIALIZED (
        SELECT kind, sum(idf) AS idf FROM weight WHERE topical GROUP BY kind
    ), scored AS MATERIALIZED (
        SELECT kind, entry,
               sum(n * idf * tf / (tf + CAST(:k1 AS float8) * (1 - CAST(:b AS float8)
                   + CAST(:b AS float8) * length / average))) AS score,
               sum(idf) FILTER (WHERE topical) AS matched, bit_or(bit) AS words
        FROM hits GROUP BY kind, entry
    )
"""

BM25_PRESENT = ",".join((QUESTION_TERMS, PRESENT_HITS, SCORES))
BM25_PAST = ",".join((QUESTION_TERMS, PAST_HITS, SCORES))

# The same two expressions, empty, for a question without words.
BM25_NOTHING = """
    scored AS (
        SELECT 'm'::"char" AS kind, 0 AS entry, 0::float8 AS score, 0::float8 AS matched, 0::bigint AS words
        WHERE false
    ), total AS (
        SELECT 'm'::"char" AS kind, 1::float8 AS idf WHERE false
    )
"""


def bm25_expressions(
    tokens: Sequence[str], topical: Set[str], filters: Filters, settings: BM25Settings
) -> Fragment:
    """Return the common table expressions ``scored`` and ``total`` for the tokens of a question.

    Args:
        tokens: The question's tokens, each as often as it occurs; without any, both expressions are empty.
        topical: Those that count in ``matched`` and ``idf``: all but the names of speakers.
        filters: ``kinds`` and ``as_of`` of these say which entries are scored; the other filters are the caller's.
        settings: The constants k1 and b.
    """
    if not tokens:
        return Fragment(BM25_NOTHING)
    counts = Counter(tokens)
    parameters = {
        "kinds": kind_letters(filters),
        "terms": list(counts),
        "counts": list(counts.values()),
        "topical": [term in topical for term in counts],
        "k1": settings.k1,
        "b": settings.b,
    }
    if filters.as_of is None:
        return Fragment(BM25_PRESENT, parameters)
    past = fill(
        BM25_PAST, of_kinds=kinds_condition("e", filters), visible=current_version("e", filters.as_of)
    )
    return Fragment(past.sql, {**past.parameters, **parameters})
