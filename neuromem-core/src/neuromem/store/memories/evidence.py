"""What insights rest on: evidence that ends with the memory it is, and insights that end with their evidence.

This imports nothing that writes: the index asks it, whenever a memory stops holding, what must stop with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.memories.derived_types import DERIVED, IS_INSIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

HALF_LIFE = 180
"""Days without new evidence in which an insight loses half of its confidence."""

# Sources speak independently of each other: what is left in doubt is the product of what each leaves in doubt.
WEIGHED = """
    SELECT 1 - exp(coalesce(sum(ln(1 - weight)) FILTER (WHERE NOT against), 0)) AS support,
           1 - exp(coalesce(sum(ln(1 - weight)) FILTER (WHERE against), 0)) AS doubt,
           max(latest) FILTER (WHERE NOT against) AS latest
    FROM (SELECT against, source, max(weight) AS weight, max(created_at) AS latest FROM ({evidence}) AS e
          GROUP BY against, source) AS sources
"""

# An insight of a digest is neuromem's own; one that a person changed, brought back or pinned is not ended by it.
OWN = f"{IS_INSIGHT} AND m.origin ->> 'by' = 'digest'"
FREE = f"{OWN} AND m.origin -> 'restored' IS NULL AND NOT m.pinned"

MOMENT = "(SELECT u.last_tx FROM {s}.users u WHERE u.user_id = :user)"

# Evidence holds while its memory says what it said then, in whatever version. Subqueries, not joins: what is looked
# up are few rows of a user, whatever the planner thinks.
END = f"""
    WITH dimmed AS (
        UPDATE {{s}}.moods d SET superseded_at = {MOMENT}
        WHERE d.user_id = :user AND d.superseded_at IS NULL AND EXISTS (
            SELECT FROM unnest(d.memories) AS n(id) WHERE NOT EXISTS (
                SELECT FROM {{s}}.memories c
                WHERE c.user_id = :user AND c.memory_id = n.id AND c.superseded_at IS NULL))
    )
    UPDATE {{s}}.evidence e SET superseded_at = {MOMENT}
    WHERE e.user_id = :user AND e.superseded_at IS NULL {{which}}
      AND (SELECT c.content_hash FROM {{s}}.memories c
           WHERE c.user_id = :user AND c.memory_id = e.memory_id AND c.superseded_at IS NULL)
          IS DISTINCT FROM
          (SELECT v.content_hash FROM {{s}}.memories v
           WHERE v.user_id = :user AND v.memory_id = e.memory_id AND v.version = e.memory_version)
    RETURNING e.insight
"""
END_ALL = END.replace("{which}", "")
END_OF = END.replace(
    "{which}",
    """
      AND e.memory_id = ANY(ARRAY(SELECT n.item FROM {s}.entries n WHERE n.user_id = :user AND n.kind = 'k'
                                  AND n.entry = ANY(CAST(:entries AS int[]))))
    """,
)

CURRENT = "SELECT * FROM {s}.evidence e WHERE e.user_id = :user AND e.insight = m.memory_id AND e.superseded_at IS NULL"

RETIRE = f"""
    WITH weighed AS MATERIALIZED (
        SELECT m.memory_id, m.version, w.support, w.doubt,
               (SELECT c.superseded_why FROM {{s}}.evidence e
                JOIN {{s}}.memories c ON c.user_id = :user AND c.memory_id = e.memory_id
                WHERE e.user_id = :user AND e.insight = m.memory_id AND NOT e.against
                  AND e.superseded_at = {MOMENT} AND c.superseded_at IS NOT NULL
                ORDER BY c.superseded_at DESC, c.version DESC LIMIT 1) AS why
        FROM {{s}}.memories m CROSS JOIN LATERAL ({WEIGHED.replace("{evidence}", CURRENT)}) AS w
        WHERE m.user_id = :user AND m.superseded_at IS NULL AND {FREE} {{which}}
    )
    UPDATE {{s}}.memories m SET superseded_at = {MOMENT},
        superseded_why = CASE WHEN weighed.support > 0 THEN 'contradicted'
                              ELSE 'without evidence: ' || coalesce(weighed.why, 'erased') END
    FROM weighed
    WHERE m.user_id = :user AND m.memory_id = weighed.memory_id AND m.version = weighed.version
      AND weighed.support <= weighed.doubt
    RETURNING m.entry, m.superseded_at AS now
"""
RETIRE_ALL = RETIRE.replace("{which}", "")
RETIRE_OF = RETIRE.replace("{which}", "AND m.memory_id = ANY(CAST(:insights AS uuid[]))")

# What was derived from erased memories alone goes with them, from the past too: of an insight the versions that
# nothing speaks for that was known when they were made. A mood goes as soon as one of its memories is gone.
FORGET = f"""
    WITH dimmed AS (
        DELETE FROM {{s}}.moods d WHERE d.user_id = :user AND EXISTS (
            SELECT FROM unnest(d.memories) AS n(id) WHERE NOT EXISTS (
                SELECT FROM {{s}}.memories c WHERE c.user_id = :user AND c.memory_id = n.id))
    ), orphaned AS (
        DELETE FROM {{s}}.evidence e WHERE e.user_id = :user AND NOT EXISTS (
            SELECT FROM {{s}}.memories m WHERE m.user_id = :user AND m.memory_id = e.insight)
    )
    DELETE FROM {{s}}.memories m
    WHERE m.user_id = :user AND {OWN} AND NOT EXISTS (
        SELECT FROM {{s}}.evidence e WHERE e.user_id = :user AND e.insight = m.memory_id AND NOT e.against
          AND e.created_at <= m.created_at)
    RETURNING m.entry
"""

ADD = """
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


def confidence_expression(as_of: datetime | None) -> str:
    """Return the SQL for the confidence of memory m, now or at :as_of: of an insight what its evidence gives it."""
    then = "e.superseded_at IS NULL"
    if as_of is not None:
        then = "e.created_at <= :as_of AND (e.superseded_at IS NULL OR e.superseded_at > :as_of)"
    evidence = (
        f"SELECT * FROM {{s}}.evidence e WHERE e.user_id = m.user_id AND e.insight = m.memory_id AND {then}"
    )
    moment = "now()" if as_of is None else "CAST(:as_of AS timestamptz)"
    return f"""
        CASE WHEN {DERIVED} THEN coalesce((
            SELECT round((w.support * (1 - w.doubt) * 0.5 ^ (
                greatest(0, extract(epoch FROM {moment} - w.latest))::float8 / ({HALF_LIFE} * 86400.0)
            ))::numeric, 4)::float8
            FROM ({WEIGHED.replace("{evidence}", evidence)}) AS w WHERE w.latest IS NOT NULL
        ), m.confidence) ELSE m.confidence END
    """


async def retire_unsupported_insights(
    transaction: Transaction, user_id: str, entries: Sequence[int] | None, insights: Sequence[str] = ()
) -> Sequence[Row]:
    """End what rested on memories that hold no more: those of index entries, or whichever they are (None).

    Returns the entries of insights that ended, and when; those named are looked at as well. The transaction holds the
    user's lock, and its moment is the user's last.
    """
    if entries is None:
        await transaction.run(END_ALL, {"user": user_id})
        return await transaction.all(RETIRE_ALL, {"user": user_id})
    ended = await transaction.all(END_OF, {"user": user_id, "entries": list(entries)}) if entries else ()
    touched = {*insights, *(str(row.insight) for row in ended)}
    if not touched:
        return ()
    return await transaction.all(RETIRE_OF, {"user": user_id, "insights": sorted(touched)})


async def delete_orphaned_insights(transaction: Transaction, user_id: str) -> list[int]:
    """Delete what was derived from erased memories alone; returns the index entries of those insights."""
    return [row.entry for row in await transaction.all(FORGET, {"user": user_id})]


async def add_evidence(
    transaction: Transaction,
    user_id: str,
    rows: Sequence[tuple[str, str, int, bool, float, str]],
    now: datetime,
) -> None:
    """Store evidence: insight, memory and its version, whether it speaks against, its weight, its source."""
    names = ("insight", "memory", "version", "against", "weight", "source")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
    if columns:
        await transaction.run(ADD, {"user": user_id, "now": now, **columns})
