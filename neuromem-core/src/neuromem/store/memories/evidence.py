"""Decides which insights the evidence supports: how confident an insight is, and when it ends.

The rules that this module decides:

- Evidence is a version of a memory that speaks for or against an insight. It ends when its memory ends or says
  something else.
- The confidence of an insight is its support times what is left of doubt, halved every `HALF_LIFE` days without new
  evidence (`confidence_expression`).
- An insight of a digest ends when doubt reaches support (`retire_unsupported_insights`), unless a person changed,
  restored or pinned it.
- Erasing memories erases the insights that rested on them alone, from the past too (`delete_orphaned_insights`).

This module closes no index entries; `closing.py` does, for the insights that are returned here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.database.sql import NOTHING, Fragment, fill
from neuromem.store.memories.derived_types import DERIVED, IS_INSIGHT
from neuromem.store.search_index.filters import current_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

HALF_LIFE = 180
"""Days without new evidence in which an insight loses half of its confidence."""

# Sources are taken as independent: the remaining uncertainty is the product of that of each source, of which the
# heaviest evidence counts.
WEIGHED_EVIDENCE = """
    SELECT 1 - exp(coalesce(sum(ln(1 - weight)) FILTER (WHERE NOT against), 0)) AS support,
           1 - exp(coalesce(sum(ln(1 - weight)) FILTER (WHERE against), 0)) AS doubt,
           max(latest) FILTER (WHERE NOT against) AS latest
    FROM (SELECT against, source, max(weight) AS weight, max(created_at) AS latest FROM ({evidence}) AS e
          GROUP BY against, source) AS sources
"""

MADE_BY_DIGEST = f"{IS_INSIGHT} AND m.origin ->> 'by' = 'digest'"
MAY_BE_RETIRED = f"{MADE_BY_DIGEST} AND m.origin -> 'restored' IS NULL AND NOT m.pinned"

LAST_WRITE = "(SELECT u.last_tx FROM {s}.users u WHERE u.user_id = :user)"
"""The moment of the transaction that holds the user's lock."""

# Evidence holds while the current version of its memory says what the version that it names says. Subqueries, not
# joins: what is looked up are few rows of a user, which the planner does not know.
CLOSE_EVIDENCE = """
    WITH ended_moods AS (
        UPDATE {s}.moods d SET superseded_at = {now}
        WHERE d.user_id = :user AND d.superseded_at IS NULL AND EXISTS (
            SELECT FROM unnest(d.memories) AS n(id) WHERE NOT EXISTS (
                SELECT FROM {s}.memories c
                WHERE c.user_id = :user AND c.memory_id = n.id AND c.superseded_at IS NULL))
    )
    UPDATE {s}.evidence e SET superseded_at = {now}
    WHERE e.user_id = :user AND e.superseded_at IS NULL {which}
      AND (SELECT c.content_hash FROM {s}.memories c
           WHERE c.user_id = :user AND c.memory_id = e.memory_id AND c.superseded_at IS NULL)
          IS DISTINCT FROM
          (SELECT v.content_hash FROM {s}.memories v
           WHERE v.user_id = :user AND v.memory_id = e.memory_id AND v.version = e.memory_version)
    RETURNING e.insight
"""
CLOSE_ALL_EVIDENCE = fill(CLOSE_EVIDENCE, now=LAST_WRITE, which=NOTHING)
CLOSE_EVIDENCE_OF_ENTRIES = fill(
    CLOSE_EVIDENCE,
    now=LAST_WRITE,
    which="""
      AND e.memory_id = ANY(ARRAY(SELECT n.item FROM {s}.entries n WHERE n.user_id = :user AND n.kind = 'k'
                                  AND n.entry = ANY(CAST(:entries AS int[]))))
    """,
)

CURRENT_EVIDENCE = """
    SELECT * FROM {s}.evidence e WHERE e.user_id = :user AND e.insight = m.memory_id AND e.superseded_at IS NULL
"""

RETIRE_INSIGHTS = """
    WITH weighed AS MATERIALIZED (
        SELECT m.memory_id, m.version, w.support, w.doubt,
               (SELECT c.superseded_why FROM {s}.evidence e
                JOIN {s}.memories c ON c.user_id = :user AND c.memory_id = e.memory_id
                WHERE e.user_id = :user AND e.insight = m.memory_id AND NOT e.against
                  AND e.superseded_at = {now} AND c.superseded_at IS NOT NULL
                ORDER BY c.superseded_at DESC, c.version DESC LIMIT 1) AS why
        FROM {s}.memories m CROSS JOIN LATERAL ({weighed_evidence}) AS w
        WHERE m.user_id = :user AND m.superseded_at IS NULL AND {may_be_retired} {which}
    )
    UPDATE {s}.memories m SET superseded_at = {now},
        superseded_why = CASE WHEN weighed.support > 0 THEN 'contradicted'
                              ELSE 'without evidence: ' || coalesce(weighed.why, 'erased') END
    FROM weighed
    WHERE m.user_id = :user AND m.memory_id = weighed.memory_id AND m.version = weighed.version
      AND weighed.support <= weighed.doubt
    RETURNING m.entry, m.superseded_at AS now
"""


def _retire(which: str) -> Fragment:
    return fill(
        RETIRE_INSIGHTS,
        now=LAST_WRITE,
        weighed_evidence=fill(WEIGHED_EVIDENCE, evidence=CURRENT_EVIDENCE),
        may_be_retired=MAY_BE_RETIRED,
        which=which,
    )


RETIRE_ALL_INSIGHTS = _retire("")
RETIRE_INSIGHTS_BY_ID = _retire("AND m.memory_id = ANY(CAST(:insights AS uuid[]))")

# Of an insight the versions go for which nothing is left that supported them when they were made. A mood is deleted as
# soon as one of its memories is.
DELETE_ORPHANS = fill(
    """
    WITH deleted_moods AS (
        DELETE FROM {s}.moods d WHERE d.user_id = :user AND EXISTS (
            SELECT FROM unnest(d.memories) AS n(id) WHERE NOT EXISTS (
                SELECT FROM {s}.memories c WHERE c.user_id = :user AND c.memory_id = n.id))
    ), deleted_evidence AS (
        DELETE FROM {s}.evidence e WHERE e.user_id = :user AND NOT EXISTS (
            SELECT FROM {s}.memories m WHERE m.user_id = :user AND m.memory_id = e.insight)
    )
    DELETE FROM {s}.memories m
    WHERE m.user_id = :user AND {made_by_digest} AND NOT EXISTS (
        SELECT FROM {s}.evidence e WHERE e.user_id = :user AND e.insight = m.memory_id AND NOT e.against
          AND e.created_at <= m.created_at)
    RETURNING m.entry
    """,
    made_by_digest=MADE_BY_DIGEST,
)

CONFIDENCE = """
        CASE WHEN {derived} THEN coalesce((
            SELECT round((w.support * (1 - w.doubt) * 0.5 ^ (
                greatest(0, extract(epoch FROM {moment} - w.latest))::float8 / ({half_life} * 86400.0)
            ))::numeric, 4)::float8
            FROM ({weighed_evidence}) AS w WHERE w.latest IS NOT NULL
        ), m.confidence) ELSE m.confidence END
"""

EVIDENCE_OF_MEMORY = (
    "SELECT * FROM {s}.evidence e WHERE e.user_id = m.user_id AND e.insight = m.memory_id AND {known}"
)

INSERT_EVIDENCE = """
    INSERT INTO {s}.evidence (user_id, insight, memory_id, memory_version, against, weight, source, created_at)
    SELECT :user, n.insight, n.memory_id, n.version, n.against, n.weight, n.source, :now
    FROM unnest(CAST(:insight AS uuid[]), CAST(:memory AS uuid[]), CAST(:version AS int[]), CAST(:against AS bool[]),
                CAST(:weight AS float8[]), CAST(:source AS text[]))
         AS n(insight, memory_id, version, against, weight, source)
    WHERE NOT EXISTS (
        SELECT FROM {s}.evidence e WHERE e.user_id = :user AND e.insight = n.insight AND e.memory_id = n.memory_id
          AND e.against = n.against AND e.superseded_at IS NULL)
    ON CONFLICT DO NOTHING
"""


def confidence_expression(as_of: datetime | None) -> Fragment:
    """Return the expression for the confidence of memory m, now or at ``as_of``.

    For a derived memory with evidence it is computed from that; else it is the stored one.
    """
    return fill(
        CONFIDENCE,
        moment="now()" if as_of is None else Fragment("CAST(:as_of AS timestamptz)", {"as_of": as_of}),
        half_life=str(HALF_LIFE),
        derived=DERIVED,
        weighed_evidence=fill(
            WEIGHED_EVIDENCE, evidence=fill(EVIDENCE_OF_MEMORY, known=current_version("e", as_of))
        ),
    )


async def retire_unsupported_insights(
    transaction: Transaction, user_id: str, entries: Sequence[int] | None, insights: Sequence[str] = ()
) -> Sequence[Row]:
    """End the evidence that does not hold any more, and the insights that nothing supports then.

    Args:
        transaction: A transaction that holds the user's lock; its moment is the last on the user's clock.
        user_id: Whose insights.
        entries: Index entries of memories that ended; None checks all evidence and every insight.
        insights: Ids of further insights to check.

    Returns:
        The insights that ended: ``entry``, their number in the search index, and ``now``, when they ended.
    """
    if entries is None:
        await transaction.run(CLOSE_ALL_EVIDENCE, {"user": user_id})
        return await transaction.all(RETIRE_ALL_INSIGHTS, {"user": user_id})
    closed = (
        await transaction.all(CLOSE_EVIDENCE_OF_ENTRIES, {"user": user_id, "entries": list(entries)})
        if entries
        else ()
    )
    touched = {*insights, *(str(row.insight) for row in closed)}
    if not touched:
        return ()
    return await transaction.all(RETIRE_INSIGHTS_BY_ID, {"user": user_id, "insights": sorted(touched)})


async def delete_orphaned_insights(transaction: Transaction, user_id: str) -> list[int]:
    """Delete what was derived from erased memories alone; returns the index entries of the deleted insights."""
    return [row.entry for row in await transaction.all(DELETE_ORPHANS, {"user": user_id})]


async def add_evidence(
    transaction: Transaction,
    user_id: str,
    rows: Sequence[tuple[str, str, int, bool, float, str]],
    now: datetime,
) -> None:
    """Store evidence for and against insights; what is current already is not stored again.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose insights.
        rows: The insight's id, the memory's id and version, whether it speaks against the insight, its weight
            between 0 and 1, and the name of its source (evidence of one source counts once).
        now: The moment of the transaction on the user's clock.
    """
    names = ("insight", "memory", "version", "against", "weight", "source")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
    if columns:
        await transaction.run(INSERT_EVIDENCE, {"user": user_id, "now": now, **columns})
