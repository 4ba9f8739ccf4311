"""The hybrid query: one SQL statement that finds entries by words and by vectors, for all built-in retrievers.

It scores every entry that shares words with the question by BM25 and compares the user's vectors with the question's,
takes the best ``depth`` of both lists, adds the neighboring turns, and computes both scores for each of these: fusion
and conversation context need the word score of what vectors found, and the cosine of what words found. The statement
also returns the user's snapshot (`neuromem.store.retrieval.user_snapshot`), because a second round trip would cost
more than reading it.

Everything is returned in one row whose columns are arrays. The entries that were found are looked up by one array of
their numbers, which is one index scan instead of one for each entry.
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

    from neuromem.config import BM25Settings
    from neuromem.domain.query import Query
    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row
    from neuromem.store.retrieval.query_vector import QueryVector

NEIGHBOR_REACH = 2  # turns before and after a message that was found

JOIN_ENTRIES_OF_SCORED = "JOIN {s}.entries e ON e.user_id = :user AND e.entry = s.entry"

SELECT_BEST_WITH_NEIGHBORS = """
    , best AS (
        SELECT entry FROM (
            SELECT s.entry FROM scored s {join} WHERE {condition}
            ORDER BY s.score DESC, s.entry LIMIT CAST(:depth AS int)
        ) AS by_words
        {nearest}
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
        {derived}
    )
    SELECT snapshot.*, f.*, {near_count} AS near_count{centroid_columns}
    FROM ({snapshot}) AS snapshot, (
        SELECT array_agg(a.kind::text) AS kinds, array_agg(a.item::text) AS items,
               array_agg(a.session_id) AS sessions, array_agg(a.position) AS positions,
               array_agg(a.extracted) AS extracted_flags,
               array_agg(s.score) AS scores, array_agg(s.matched / t.idf) AS idf_shares, array_agg(s.words) AS words,
               array_agg(v.cosine) AS cosines, array_agg(v.centroid_product) AS centroid_products
        FROM around a
        LEFT JOIN scored s ON s.entry = a.entry
        LEFT JOIN total t ON t.kind = a.kind
        LEFT JOIN ({cosines}) AS v ON v.entry = a.entry
    ) AS f
"""

# The arrays of that statement that describe entries, in the order in which `run_hybrid_query` reads them.
ENTRY_COLUMNS = (
    "kinds",
    "items",
    "sessions",
    "positions",
    "extracted_flags",
    "scores",
    "idf_shares",
    "words",
    "cosines",
    "centroid_products",
)

# The memories that a model extracted from the messages found.
UNION_DERIVED_MEMORIES = """
        UNION
        SELECT e.* FROM found f CROSS JOIN LATERAL (
            SELECT e.entry, e.kind, e.item, e.session_id, e.position, e.extracted FROM {s}.memory_sources s
            JOIN {s}.entries e ON e.user_id = :user AND e.item = s.memory_id AND e.version = s.version
            WHERE s.user_id = :user AND s.message_id = f.item AND {current}
              AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) AND {condition}
            OFFSET 0
        ) AS e
        WHERE f.kind = 'm' AND f.extracted
"""

UNION_NEAREST = "UNION SELECT entry FROM near"
COUNT_NEAR = "(SELECT count(*) FROM near)"

# Inner products of the question with the centroid and of the centroid with itself, and of how many vectors it is.
CENTROID_COLUMNS = """,
        -(CAST(:vector AS halfvec) <#> (SELECT v FROM centroid)) AS question_product,
        (SELECT -(v <#> v) FROM centroid) AS centroid_square, (SELECT n FROM centroid) AS centroid_size"""

SELECT_COSINES = """
        SELECT v.entry, -(v.v <#> CAST(:vector AS halfvec)) AS cosine,
               -(v.v <#> (SELECT v FROM centroid)) AS centroid_product
        FROM {s}.vectors v
        WHERE v.user_id = :user AND v.space = :space AND v.part = 0 AND v.entry = ANY(ARRAY(SELECT entry FROM around))
"""

SELECT_NO_COSINES = "SELECT NULL::int AS entry, NULL::float8 AS cosine, NULL::float8 AS centroid_product"


class ScoredEntry(NamedTuple):
    """An entry of the search index with its scores for one question; a score is None where the two share nothing.

    Attributes:
        kind: The letter of its kind, see `neuromem.store.search_index.entries.KIND_NAMES`.
        item: The id of the message, memory or passage.
        session_id: The session of a message, or of the one that a memory was extracted from.
        position: The place of that message in the session, from 0 on.
        extracted: Whether a model has extracted this message.
        score: The BM25 score.
        idf_share: The part of the question's idf that the words of the entry make up, in [0, 1].
        words: A bit for each word that question and entry share.
        cosine: The cosine of the question's vector and the entry's.
        centered_cosine: The same after the centroid of the user's vectors was subtracted from both. The vectors of a
            model lie close together; what distinguishes texts is how they differ from the centroid.
        suppressed: Whether the entry only lends its score to others and is not shown.
    """

    kind: str
    item: str
    session_id: str | None
    position: int | None
    extracted: bool
    score: float | None
    idf_share: float | None
    words: int | None
    cosine: float | None
    centered_cosine: float | None
    suppressed: bool = False


@dataclass(frozen=True, slots=True)
class HybridResult:
    """What the hybrid query returned.

    Attributes:
        entries: The entries that were found and the turns around them, in no order.
        snapshot_row: A row with the columns of the user's snapshot, for `UserSnapshots.keep_row`.
        near_count: How many entries the vector search returned: fewer than ``depth`` only when it went through an
            index, or when no more entries pass the filters.
        centroid_size: The number of vectors that the centroid is made of; 0 without vectors.
    """

    entries: list[ScoredEntry]
    snapshot_row: Row
    near_count: int
    centroid_size: int


async def run_hybrid_query(
    transaction: Transaction,
    query: Query,
    *,
    tokens: Sequence[str],
    topical: Set[str],
    query_vector: QueryVector | None,
    through_index: bool,
    exact_limit: int,
    bm25: BM25Settings,
    with_derived: bool = False,
) -> HybridResult:
    """Return the best ``query.depth`` entries by words and as many by vector, and the turns around them.

    Args:
        transaction: A reading transaction of the user.
        query: The question, with its filters and depth.
        tokens: The question's tokens, each as often as it occurs.
        topical: Those tokens that are not names of speakers.
        query_vector: The question's vector; None: words alone.
        through_index: Whether the nearest vectors are found through the user's HNSW index instead of by comparing all.
        exact_limit: `neuromem.config.VectorSettings.exact_limit`, for the snapshot.
        bm25: The constants of BM25.
        with_derived: Whether the memories extracted from the messages found are returned as well.
    """
    statement = _statement(
        query,
        tokens,
        topical,
        query_vector,
        bm25,
        exact_limit,
        through_index=through_index,
        with_derived=with_derived,
    )
    row = (await transaction.all(statement, {"user": query.user_id}))[0]
    centroid_size = (row["centroid_size"] or 0) if query_vector else 0
    centered = (
        _CenteredCosine(row["question_product"], row["centroid_square"], centroid_size)
        if centroid_size
        else None
    )
    entries = [
        ScoredEntry(
            kind,
            item,
            session,
            position,
            extracted,
            score,
            idf_share,
            words,
            cosine,
            centered(cosine, product) if centered and cosine is not None else None,
        )
        for kind, item, session, position, extracted, score, idf_share, words, cosine, product in zip(
            *[row[name] or () for name in ENTRY_COLUMNS], strict=True
        )
    ]
    return HybridResult(entries, row, row["near_count"], centroid_size)


def _statement(
    query: Query,
    tokens: Sequence[str],
    topical: Set[str],
    query_vector: QueryVector | None,
    bm25: BM25Settings,
    exact_limit: int,
    *,
    through_index: bool,
    with_derived: bool,
) -> Fragment:
    """Return the whole statement; see `run_hybrid_query` for what goes into it."""
    condition = filter_condition(query.filters)
    passes = condition or TRUE
    expressions = [bm25_expressions(tokens, topical, query.filters, bm25)]
    parameters: dict[str, Any] = {
        "kinds": kind_letters(query.filters),
        "depth": query.depth,
        "reach": NEIGHBOR_REACH,
    }
    if query_vector is not None:
        expressions.append(
            hnsw_search_expression(query_vector.space, condition)
            if through_index
            else exact_search_expression(query.filters, condition)
        )
        expressions.append(CENTROID_EXPRESSIONS)
        parameters |= {"space": query_vector.space.space, "vector": query_vector.vector}
    current = source_known(query.filters.as_of) if query.filters.as_of else current_version("e", None)
    found = fill(
        SELECT_BEST_WITH_NEIGHBORS,
        join=JOIN_ENTRIES_OF_SCORED if condition else "",
        condition=passes,
        nearest=UNION_NEAREST if query_vector else "",
        derived=fill(UNION_DERIVED_MEMORIES, current=current, condition=passes) if with_derived else "",
        near_count=COUNT_NEAR if query_vector else "0",
        centroid_columns=CENTROID_COLUMNS if query_vector else "",
        snapshot=snapshot_query(query.filters.as_of, exact_limit),
        cosines=SELECT_COSINES if query_vector else SELECT_NO_COSINES,
    )
    sql = "WITH " + ",".join(expression.sql for expression in expressions) + found.sql
    return Fragment(sql, {**merged([*expressions, found]), **parameters})


class _CenteredCosine:
    """Computes the cosine of (question - centroid) and (text - centroid) from inner products alone.

    The centroid is shrunk toward zero by n / (n + `CENTROID_SHRINKAGE`): otherwise a single vector would be its own
    centroid, and nothing would be left of it.

    Args:
        question_product: The inner product of the question's vector and the centroid.
        centroid_square: The inner product of the centroid with itself.
        centroid_size: The number n of vectors that the centroid is made of.
    """

    def __init__(self, question_product: float, centroid_square: float, centroid_size: int) -> None:
        self._shrinkage = centroid_size / (centroid_size + CENTROID_SHRINKAGE)
        self._question_product = self._shrinkage * question_product
        self._square = self._shrinkage * self._shrinkage * centroid_square
        self._question_square = 1.0 - 2.0 * self._question_product + self._square

    def __call__(self, cosine: float, centroid_product: float) -> float:
        """Return the centered cosine of a text, in [-1, 1]; 0 where question or text coincides with the centroid.

        Args:
            cosine: The cosine of question and text.
            centroid_product: The inner product of the text's vector and the centroid.
        """
        text_product = centroid_product * self._shrinkage
        text_square = 1.0 - 2.0 * text_product + self._square
        if self._question_square <= 1e-6 or text_square <= 1e-6:
            return 0.0
        inner = cosine - text_product - self._question_product + self._square
        return max(-1.0, min(1.0, inner / math.sqrt(self._question_square * text_square)))
