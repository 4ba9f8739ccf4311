"""Reads insights, with what their evidence gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.store.memories.derived_types import IS_INSIGHT
from neuromem.store.memories.evidence import confidence_expression
from neuromem.store.search_index.filters import memory_visibility, visible_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction

FOUND = """
    SELECT m.memory_id, m.version, m.content, m.category, m.importance, m.created_at, {confidence} AS confidence,
           ARRAY(SELECT e.memory_id FROM {s}.evidence e
                 WHERE e.user_id = :user AND e.insight = m.memory_id AND NOT e.against AND {known}
                 GROUP BY e.memory_id ORDER BY min(e.created_at), e.memory_id) AS evidence
    FROM {s}.memories m
    WHERE m.user_id = :user AND {insight} AND {held} {which}
    ORDER BY {order}, m.memory_id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class StoredInsight:
    """An insight as it stands, with the ids of the memories that speak for it.

    What rests on nothing is a person's own: written, or kept though its evidence is gone; nobody doubts it.
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
    """Return the insights that hold, or held at a moment, those with the most confidence first."""
    return await _find(transaction, user_id, limit, as_of=as_of, order="confidence DESC NULLS FIRST")


async def latest_insights(transaction: Transaction, user_id: str, limit: int) -> list[StoredInsight]:
    """Return the insights that were made or changed last: nobody may be able to find them by meaning yet."""
    return await _find(transaction, user_id, limit, order="m.created_at DESC")


async def insights_by_id(transaction: Transaction, user_id: str, ids: Sequence[str]) -> list[StoredInsight]:
    """Return the insights with these ids, in their order, without those that hold no more."""
    found = await _find(transaction, user_id, len(ids), ids=ids, order="m.created_at")
    by_id = {insight.id: insight for insight in found}
    return [by_id[one] for one in ids if one in by_id]


async def _find(
    transaction: Transaction,
    user_id: str,
    limit: int,
    *,
    order: str,
    ids: Sequence[str] | None = None,
    as_of: datetime | None = None,
) -> list[StoredInsight]:
    known = "e.superseded_at IS NULL" if as_of is None else visible_at("e")
    sql = (
        FOUND.replace("{insight}", IS_INSIGHT)
        .replace("{confidence}", confidence_expression(as_of))
        .replace("{known}", known)
    )
    sql = sql.replace("{held}", memory_visibility(as_of)[0]).replace("{order}", order)
    sql = sql.replace("{which}", "" if ids is None else "AND m.memory_id = ANY(CAST(:ids AS uuid[]))")
    params = {"user": user_id, "limit": limit, **({} if ids is None else {"ids": list(ids)})}
    rows = await transaction.all(sql, {**params, **({} if as_of is None else {"as_of": as_of})})
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
