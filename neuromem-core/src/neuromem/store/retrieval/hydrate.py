"""Hydration: reads the contents of the entries that recall found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.recall_result import RetrievedItem
from neuromem.store.database.sql import Fragment, fill, merged
from neuromem.store.search_index.entries import KIND_NAMES
from neuromem.store.search_index.filters import (
    entry_condition,
    kind_letters,
    memory_holds,
    source_known,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.query import Kind, Query
    from neuromem.domain.recall_result import Fused
    from neuromem.store.database.database import Transaction

# One part for each kind, so that PostgreSQL does not plan the reading of kinds that were not found.
SELECT_CONTENTS = {
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
                     AND s.memory_id = m.memory_id AND s.version = m.version AND {source_known} ORDER BY s.message_id),
               NULL, NULL::int, m.subject, m.importance, m.valence, m.arousal
        FROM {s}.memories m
        WHERE m.user_id = :user AND m.memory_id = ANY(CAST(:memory AS uuid[])) AND {holds}
    """,
    "document": """
        SELECT 'document', p.passage_id::text, p.content, 'document', p.created_at, NULL::timestamptz,
               d.labels || jsonb_build_object('position', p.position, 'page', p.page), CAST('{}' AS text[]),
               NULL, NULL::int, NULL, NULL::float8, NULL::float8, NULL::float8
        FROM {s}.passages p JOIN {s}.documents d ON d.user_id = p.user_id AND d.document_id = p.document_id
        WHERE p.user_id = :user AND p.passage_id = ANY(CAST(:document AS uuid[]))
    """,
}

SELECT_VISIBLE = """
    SELECT e.kind::text AS kind, e.item::text AS item FROM {s}.entries e
    WHERE e.user_id = :user AND e.item = ANY(CAST(:items AS uuid[]))
      AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) AND {condition}
"""


async def visible_entries(
    transaction: Transaction, query: Query, keys: Sequence[tuple[Kind, str]]
) -> set[tuple[Kind, str]]:
    """Return which entries, by kind and id, pass all filters of a question."""
    statement = fill(SELECT_VISIBLE, condition=entry_condition(query.filters))
    values = {
        "user": query.user_id,
        "items": [item for _, item in keys],
        "kinds": kind_letters(query.filters),
    }
    return {(KIND_NAMES[row.kind], row.item) for row in await transaction.all(statement, values)}


async def hydrate(transaction: Transaction, query: Query, found: Sequence[Fused]) -> list[RetrievedItem]:
    """Return what is stored about fused candidates, in no order.

    Memories that do not hold at the moment of the question are left out.

    Args:
        transaction: A transaction of the user.
        query: The question.
        found: The candidates after fusion; at least one.
    """
    ids: dict[str, list[str]] = {}
    for item in found:
        ids.setdefault(item.kind, []).append(item.id)
    statement = _select(frozenset(ids), query.filters.as_of)
    rows = await transaction.all(statement, {"user": query.user_id, **ids})
    by_key = {(item.kind, item.id): item for item in found}
    return [_item(by_key[row[0], row[1]], *row) for row in rows]


def _select(kinds: frozenset[str], as_of: datetime | None) -> Fragment:
    """Return the statement that reads what is stored about entries of these kinds."""
    parts = {kind: Fragment(part) for kind, part in SELECT_CONTENTS.items()}
    parts["memory"] = fill(
        SELECT_CONTENTS["memory"], holds=memory_holds(as_of), source_known=source_known(as_of)
    )
    wanted = [part for kind, part in parts.items() if kind in kinds]
    return Fragment("UNION ALL".join(part.sql for part in wanted), merged(wanted))


def _item(
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
