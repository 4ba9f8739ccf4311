"""Reads what is stored about what recall found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.recall_result import RetrievedItem
from neuromem.store.search_index.entries import KIND_NAMES
from neuromem.store.search_index.filters import filter_condition, kind_letters, memory_visibility

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.query import Kind, Query
    from neuromem.domain.recall_result import Fused
    from neuromem.store.database.database import Transaction

# One part per kind: what is not asked for is not planned.
LOAD = {
    "message": """
        SELECT 'message' AS kind, m.message_id::text AS item, m.content, 'message' AS memory_type, m.created_at,
               m.occurred_at, nullif(m.metadata, '{}') AS metadata, ARRAY[m.message_id::text] AS sources,
               m.session_id, m.position, coalesce(m.name, m.role) AS speaker,
               NULL::float8 AS importance, NULL::float8 AS valence, NULL::float8 AS arousal
        FROM {s}.messages m
        WHERE m.user_id = :user AND m.message_id = ANY(CAST(:message AS uuid[]))
    """,
    "memory": """
        SELECT 'memory', m.memory_id::text, m.content, m.memory_type, m.created_at, m.occurred_at,
               nullif(m.metadata, '{}'),
               ARRAY(SELECT s.message_id::text FROM {s}.memory_sources s WHERE s.user_id = :user
                     AND s.memory_id = m.memory_id AND s.version = m.version AND {said} ORDER BY s.message_id),
               NULL, NULL::int, m.subject, m.importance, m.valence, m.arousal
        FROM {s}.memories m
        WHERE m.user_id = :user AND m.memory_id = ANY(CAST(:memory AS uuid[])) AND {visible}
    """,
    "document": """
        SELECT 'document', p.passage_id::text, p.content, 'document', p.created_at, NULL::timestamptz,
               d.labels || jsonb_build_object('position', p.position, 'page', p.page), CAST('{}' AS text[]),
               NULL, NULL::int, NULL, NULL::float8, NULL::float8, NULL::float8
        FROM {s}.passages p JOIN {s}.documents d ON d.user_id = p.user_id AND d.document_id = p.document_id
        WHERE p.user_id = :user AND p.passage_id = ANY(CAST(:document AS uuid[]))
    """,
}

VISIBLE = """
    SELECT e.kind::text AS kind, e.item::text AS item FROM {s}.entries e
    WHERE e.user_id = :user AND e.item = ANY(CAST(:items AS uuid[]))
      AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) AND {current} AND {condition}
"""


async def visible_entries(
    transaction: Transaction, query: Query, keys: Sequence[tuple[Kind, str]]
) -> set[tuple[Kind, str]]:
    """Return which entries, by kind and id, pass all filters of a question."""
    condition, params = filter_condition(query.filters)
    current = "e.superseded_at IS NULL" if query.filters.as_of is None else "true"
    sql = VISIBLE.replace("{current}", current).replace("{condition}", condition or "true")
    values = {
        "user": query.user_id,
        "items": [item for _, item in keys],
        "kinds": kind_letters(query.filters),
        **params,
    }
    return {(KIND_NAMES[row.kind], row.item) for row in await transaction.all(sql, values)}


async def hydrate(transaction: Transaction, query: Query, found: Sequence[Fused]) -> list[RetrievedItem]:
    """Return what is stored about what was found; what the question may not see is left out."""
    when, said = memory_visibility(query.filters.as_of)
    params: dict[str, Any] = {"user": query.user_id, "as_of": query.filters.as_of}
    for item in found:
        params.setdefault(item.kind, []).append(item.id)
    sql = "UNION ALL".join(part for kind, part in LOAD.items() if kind in params)
    rows = await transaction.all(sql.replace("{visible}", when).replace("{said}", said), params)
    by_key = {(item.kind, item.id): item for item in found}
    return [_hit(by_key[row[0], row[1]], *row) for row in rows]


def _hit(
    found: Fused,
    kind: str,
    item: str,
    content: str,
    memory_type: str,
    created_at: datetime,
    occurred_at: datetime | None,
    metadata: Mapping[str, Any] | None,
    sources: Sequence[str],
    *others: Any,
) -> RetrievedItem:
    del kind, item
    return RetrievedItem(
        found.id,
        found.kind,
        found.score,
        found.relevance,
        found.ranks,
        content,
        memory_type,
        created_at,
        occurred_at,
        metadata or {},
        tuple(sources),
        *others,
    )
