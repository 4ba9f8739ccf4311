"""The one statement behind the built-in retrievers.

It scores every entry that shares words with the question and every vector of the user, takes the best of both, adds
the turns around them, and gives each of these both scores: fusion and conversation context need the word score of
what was found by meaning and the other way round. It comes with what is known of the user, in one row of columns:
a round trip costs more than what it would ask for.

What was found is looked up by an array of all of it: one scan of an index, not one for each entry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from neuromem.store.database.sql import TRUE, Fragment, fill, merged
from neuromem.store.retrieval.user_snapshot import snapshot_query
from neuromem.store.search_index.bm25 import bm25_expressions
from neuromem.store.search_index.centroids import CENTROID_EXPRESSIONS, CENTROID_SHRINKAGE
from neuromem.store.search_index.filters import current_version, filter_condition, kind_letters, source_known
from neuromem.store.search_index.hnsw import hnsw_search_expression
from neuromem.store.search_index.vectors import exact_search_expression

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from pgvector import HalfVector

    from neuromem.config import BM25Settings
    from neuromem.domain.query import Query
    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row
    from neuromem.store.search_index.vectors import EmbeddingSpace

REACH = 2  # turns before and after a found one that come along

JOIN_ENTRIES = "JOIN {s}.entries e ON e.user_id = :user AND e.entry = s.entry"

FIND = """
    , best AS (
        SELECT entry FROM (
            SELECT s.entry FROM scored s {join} WHERE {condition}
            ORDER BY s.score DESC, s.entry LIMIT CAST(:depth AS int)
        ) AS by_words
        {by_meaning}
    ), found AS MATERIALIZED (
        SELECT e.entry, e.kind, e.item, e.session_id, e.position, e.extracted FROM {s}.entries e
        WHERE e.user_id = :user AND e.entry = ANY(ARRAY(SELECT entry FROM best))
    ), around AS MATERIALIZED (
        SELECT e.* FROM found f CROSS JOIN LATERAL (
            SELECT e.entry, e.kind, e.item, e.session_id, e.position, e.extracted FROM {s}.entries e
            WHERE e.user_id = :user AND e.session_id = f.session_id AND e.kind = 'm'
              AND e.position BETWEEN f.position - CAST(:reach AS int) AND f.position + CAST(:reach AS int)
              AND {condition}
            OFFSET 0
        ) AS e
        WHERE f.kind = 'm'
        UNION
        SELECT * FROM found
        {made}
    )
    SELECT known.*, f.*, {reached} AS reached{asked}
    FROM ({known}) AS known, (
        SELECT array_agg(a.kind::text) AS kinds, array_agg(a.item::text) AS items,
               array_agg(a.session_id) AS sessions, array_agg(a.position) AS positions,
               array_agg(a.extracted) AS done,
               array_agg(s.score) AS scores, array_agg(s.matched / t.idf) AS shares, array_agg(s.words) AS words,
               array_agg(v.cosine) AS cosines, array_agg(v.common) AS commons
        FROM around a
        LEFT JOIN scored s ON s.entry = a.entry
        LEFT JOIN total t ON t.kind = a.kind
        LEFT JOIN ({compare}) AS v ON v.entry = a.entry
    ) AS f
"""

# What a model made of the messages found, shown beside them or in their place: it tells more of what they say.
MADE = """
        UNION
        SELECT e.* FROM found f CROSS JOIN LATERAL (
            SELECT e.entry, e.kind, e.item, e.session_id, e.position, e.extracted FROM {s}.memory_sources s
            JOIN {s}.entries e ON e.user_id = :user AND e.item = s.memory_id AND e.version = s.version
            WHERE s.user_id = :user AND s.message_id = f.item AND {held}
              AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) AND {condition}
            OFFSET 0
        ) AS e
        WHERE f.kind = 'm' AND f.extracted
"""

FOUND = ("kinds", "items", "sessions", "positions", "done", "scores", "shares", "words", "cosines", "commons")

ASKED = """,
        -(CAST(:vector AS halfvec) <#> (SELECT v FROM middle)) AS asked,
        (SELECT -(v <#> v) FROM middle) AS square, (SELECT n FROM middle) AS n"""

BY_MEANING = "UNION SELECT entry FROM near"
REACHED = "(SELECT count(*) FROM near)"

COMPARE = """
        SELECT v.entry, -(v.v <#> CAST(:vector AS halfvec)) AS cosine, -(v.v <#> (SELECT v FROM middle)) AS common
        FROM {s}.vectors v
        WHERE v.user_id = :user AND v.space = :space AND v.part = 0 AND v.entry = ANY(ARRAY(SELECT entry FROM around))
"""

NO_COMPARE = "SELECT NULL::int AS entry, NULL::float8 AS cosine, NULL::float8 AS common"


class ScoredEntry(NamedTuple):
    """One entry with what the question shares with it; None where it shares nothing.

    ``cosine`` is that of question and text; ``contrast`` the same after what all the user's texts have in common
    was taken from both (a model's vectors crowd into a corner; the differences tell). ``extracted``: a model is done
    with this message; ``hidden``: the question does not want to see it. ``words`` has a bit for each word they share.
    """

    kind: str
    item: str
    session_id: str | None
    position: int | None
    extracted: bool
    score: float | None
    share: float | None
    words: int | None
    cosine: float | None
    contrast: float | None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class QueryVector:
    """A question's vector in its space."""

    space: EmbeddingSpace
    vector: HalfVector


async def run_hybrid_query(
    transaction: Transaction,
    query: Query,
    *,
    tokens: Sequence[str],
    topical: Set[str],
    meaning: QueryVector | None,
    through_index: bool,
    exact_limit: int,
    bm25: BM25Settings,
    made: bool = False,
) -> tuple[Row, list[ScoredEntry]]:
    """Return the best ``query.depth`` entries by words and by meaning, and the turns around them.

    With ``made`` the memories made of the messages that were found come along.

    The first is a row of `about`, for `Known.learn`, and with how many were ``reached`` by meaning: fewer than asked
    for only ``through_index``, or when there are no more.
    """
    statement = _statement(
        query, tokens, topical, meaning, bm25, exact_limit, through_index=through_index, made=made
    )
    row = (await transaction.all(statement, {"user": query.user_id}))[0]
    contrast = _CenteredCosine(row["asked"], row["square"], row["n"]) if meaning and row["n"] else None
    return row, [
        ScoredEntry(
            kind,
            item,
            session,
            position,
            extracted,
            score,
            share,
            words,
            cosine,
            contrast(cosine, common) if contrast and cosine is not None else None,
        )
        for kind, item, session, position, extracted, score, share, words, cosine, common in zip(
            *[row[name] or () for name in FOUND], strict=True
        )
    ]


def _statement(
    query: Query,
    tokens: Sequence[str],
    topical: Set[str],
    meaning: QueryVector | None,
    bm25: BM25Settings,
    exact_limit: int,
    *,
    through_index: bool,
    made: bool,
) -> Fragment:
    """Return the whole statement; see `run_hybrid_query` for what goes into it."""
    condition = filter_condition(query.filters)
    passes = condition or TRUE
    expressions = [bm25_expressions(tokens, topical, query.filters, bm25)]
    parameters: dict[str, Any] = {"kinds": kind_letters(query.filters), "depth": query.depth, "reach": REACH}
    if meaning is not None:
        expressions.append(
            hnsw_search_expression(meaning.space, condition)
            if through_index
            else exact_search_expression(query.filters, condition)
        )
        expressions.append(Fragment(CENTROID_EXPRESSIONS))
        parameters |= {"space": meaning.space.space, "vector": meaning.vector}
    known_then = source_known(query.filters.as_of) if query.filters.as_of else current_version("e", None)
    found = fill(
        FIND,
        join=JOIN_ENTRIES if condition else "",
        condition=passes,
        by_meaning=BY_MEANING if meaning else "",
        made=fill(MADE, held=known_then, condition=passes) if made else "",
        reached=REACHED if meaning else "0",
        asked=ASKED if meaning else "",
        known=snapshot_query(query.filters.as_of, exact_limit),
        compare=COMPARE if meaning else NO_COMPARE,
    )
    sql = "WITH " + ",".join(expression.sql for expression in expressions) + found.sql
    return Fragment(sql, {**merged([*expressions, found]), **parameters})


class _CenteredCosine:
    """Gives the cosine of (question - middle) and (text - middle), from inner products alone.

    The middle of few vectors counts little, so that the only one is not its own middle.
    """

    def __init__(self, asked: float, square: float, n: int) -> None:
        self._part = n / (n + CENTROID_SHRINKAGE)
        self._asked = self._part * asked
        self._square = self._part * self._part * square
        self._question = 1.0 - 2.0 * self._asked + self._square

    def __call__(self, cosine: float, common: float) -> float:
        common *= self._part
        text = 1.0 - 2.0 * common + self._square
        if self._question <= 1e-6 or text <= 1e-6:
            return 0.0
        inner = cosine - common - self._asked + self._square
        return max(-1.0, min(1.0, inner / math.sqrt(self._question * text)))
