"""Reads insights, each with its evidence and the confidence that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.store.database.sql import NOTHING, Fragment, fill
from neuromem.store.memories.derived_types import IS_INSIGHT
from neuromem.store.memories.evidence import confidence_expression
from neuromem.store.search_index.filters import current_version, memory_holds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction

SELECT_INSIGHTS = """
    SELECT m.memory_id, m.version, m.content, m.category, m.importance, m.created_at, {confidence} AS confidence,
           ARRAY(SELECT e.memory_id FROM {s}.evidence e
                 WHERE e.user_id = :user AND e.insight = m.memory_id AND NOT e.against AND {known}
                 GROUP BY e.memory_id ORDER BY min(e.created_at), e.memory_id) AS evidence
    FROM {s}.memories m
    WHERE m.user_id = :user AND {is_insight} AND {holds} {which}
    ORDER BY {order}, m.memory_id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class StoredInsight:
    """An insight with its evidence.

    Attributes:
        id: Its id.
        version: The number of its version.
        content: What it says.
        category: The area of life that it is about.
        importance: From 0 to 10, None for unknown.
        confidence: From 0 to 1; 1 without evidence: then a person wrote it, or kept it though its evidence has ended.
        evidence: Ids of the memories that support it, the earliest first.
        created_at: When this version was made.
    """

    id: str
    version: int
    content: str
    category: str | None
    importance: float | None
    confidence: float
    evidence: tuple[str, ...]
    created_at: datetime


async def strongest_insights(
    transaction: Transaction, user_id: str, limit: int, as_of: datetime | None = None
) -> list[StoredInsight]:
    """Return the insights that hold now or held at ``as_of``, the most confident first, at most ``limit``."""
    return await _select_insights(
        transaction, user_id, limit, as_of=as_of, order="confidence DESC NULLS FIRST"
    )


async def latest_insights(transaction: Transaction, user_id: str, limit: int) -> list[StoredInsight]:
    """Return the insights that were made or changed last: their embedding may still be missing, so search cannot."""
    return await _select_insights(transaction, user_id, limit, order="m.created_at DESC")


async def insights_by_id(transaction: Transaction, user_id: str, ids: Sequence[str]) -> list[StoredInsight]:
    """Return the insights with these ids, in their order, without those that do not hold any more."""
    found = await _select_insights(transaction, user_id, len(ids), ids=ids, order="m.created_at")
    by_id = {insight.id: insight for insight in found}
    return [by_id[one] for one in ids if one in by_id]


async def _select_insights(
    transaction: Transaction,
    user_id: str,
    limit: int,
    *,
    order: str,
    ids: Sequence[str] | None = None,
    as_of: datetime | None = None,
) -> list[StoredInsight]:
    by_id = "AND m.memory_id = ANY(CAST(:ids AS uuid[]))"
    sql = fill(
        SELECT_INSIGHTS,
        is_insight=IS_INSIGHT,
        confidence=confidence_expression(as_of),
        known=current_version("e", as_of),
        holds=memory_holds(as_of),
        which=NOTHING if ids is None else Fragment(by_id, {"ids": list(ids)}),
        order=order,
    )
    rows = await transaction.all(sql, {"user": user_id, "limit": limit})
    return [
        StoredInsight(
            str(row.memory_id),
            row.version,
            row.content,
            row.category,
            row.importance,
            1.0 if row.confidence is None else row.confidence,
            tuple(str(one) for one in row.evidence),
            row.created_at,
        )
        for row in rows
    ]
