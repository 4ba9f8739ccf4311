"""What insights rest on: evidence that ends with the memory it is, and insights that end with their evidence.

This imports nothing that writes: the index asks it, whenever a memory stops holding, what must stop with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.store.engine import Transaction
    from neuromem.store.rows import Row

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
OWN = "m.memory_type = 'insight' AND m.origin ->> 'by' = 'digest'"
FREE = f"{OWN} AND m.origin -> 'restored' IS NULL AND NOT m.pinned"

# Evidence holds while its memory says what it said then, in whatever version.
SETTLE = f"""
    WITH held AS MATERIALIZED (
        SELECT e.insight, e.memory_id, e.memory_version, e.against, e.weight, e.source, e.created_at,
               EXISTS (SELECT FROM {{s}}.memories c
                       WHERE c.user_id = :user AND c.memory_id = e.memory_id AND c.superseded_at IS NULL
                         AND c.content_hash = v.content_hash) AS holds
        FROM {{s}}.evidence e
        JOIN {{s}}.memories v ON v.user_id = :user AND v.memory_id = e.memory_id AND v.version = e.memory_version
        WHERE e.user_id = :user AND e.superseded_at IS NULL
    ), moment AS (
        SELECT last_tx AS now FROM {{s}}.users WHERE user_id = :user
    ), ended AS (
        UPDATE {{s}}.evidence e SET superseded_at = moment.now FROM held, moment
        WHERE e.user_id = :user AND NOT held.holds AND e.superseded_at IS NULL AND e.insight = held.insight
          AND e.memory_id = held.memory_id AND e.memory_version = held.memory_version AND e.against = held.against
    ), weighed AS (
        SELECT m.memory_id, m.version, w.support, w.doubt,
               (SELECT c.superseded_why FROM held h
                JOIN {{s}}.memories c ON c.user_id = :user AND c.memory_id = h.memory_id
                WHERE h.insight = m.memory_id AND NOT h.holds AND NOT h.against AND c.superseded_at IS NOT NULL
                ORDER BY c.superseded_at DESC LIMIT 1) AS why
        FROM {{s}}.memories m CROSS JOIN LATERAL (
            {WEIGHED.replace("{evidence}", "SELECT * FROM held WHERE held.holds AND held.insight = m.memory_id")}
        ) AS w
        WHERE m.user_id = :user AND m.superseded_at IS NULL AND {FREE}
    ), dimmed AS (
        UPDATE {{s}}.moods d SET superseded_at = moment.now FROM moment
        WHERE d.user_id = :user AND d.superseded_at IS NULL AND EXISTS (
            SELECT FROM unnest(d.memories) AS n(id) WHERE NOT EXISTS (
                SELECT FROM {{s}}.memories c
                WHERE c.user_id = :user AND c.memory_id = n.id AND c.superseded_at IS NULL))
    )
    UPDATE {{s}}.memories m SET superseded_at = moment.now,
        superseded_why = CASE WHEN weighed.support > 0 THEN 'contradicted'
                              ELSE 'without evidence: ' || coalesce(weighed.why, 'erased') END
    FROM weighed, moment
    WHERE m.user_id = :user AND m.memory_id = weighed.memory_id AND m.version = weighed.version
      AND weighed.support <= weighed.doubt
    RETURNING m.entry, m.superseded_at AS now
"""

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


def confidence(as_of: datetime | None) -> str:
    """Return the SQL for the confidence of memory m, now or at :as_of: of an insight what its evidence gives it."""
    then = "e.superseded_at IS NULL"
    if as_of is not None:
        then = "e.created_at <= :as_of AND (e.superseded_at IS NULL OR e.superseded_at > :as_of)"
    evidence = (
        f"SELECT * FROM {{s}}.evidence e WHERE e.user_id = m.user_id AND e.insight = m.memory_id AND {then}"
    )
    moment = "now()" if as_of is None else "CAST(:as_of AS timestamptz)"
    return f"""
        CASE WHEN m.memory_type = 'insight' THEN coalesce((
            SELECT round((w.support * (1 - w.doubt) * 0.5 ^ (
                greatest(0, extract(epoch FROM {moment} - w.latest))::float8 / ({HALF_LIFE} * 86400.0)
            ))::numeric, 4)::float8
            FROM ({WEIGHED.replace("{evidence}", evidence)}) AS w WHERE w.latest IS NOT NULL
        ), m.confidence) ELSE m.confidence END
    """


async def settle(transaction: Transaction, user_id: str) -> Sequence[Row]:
    """End what rested on memories that hold no more; returns the index entries of insights that ended, and when.

    The transaction holds the user's lock, and its moment is the user's last.
    """
    return await transaction.all(SETTLE, {"user": user_id})


async def forget(transaction: Transaction, user_id: str) -> list[int]:
    """Delete what was derived from erased memories alone; returns the index entries of those insights."""
    return [row.entry for row in await transaction.all(FORGET, {"user": user_id})]


async def add(
    transaction: Transaction, user_id: str, rows: Sequence[tuple[str, str, int, bool, float, str]], now: datetime
) -> None:  # fmt: skip
    """Store evidence: insight, memory and its version, whether it speaks against, its weight, its source."""
    names = ("insight", "memory", "version", "against", "weight", "source")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
    if columns:
        await transaction.run(ADD, {"user": user_id, "now": now, **columns})
