"""Tells what hides an item from a question."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from neuromem.errors import NotFoundError
from neuromem.store import visible
from neuromem.store.index import NAME_OF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.recall import Query
    from neuromem.store.engine import Transaction
    from neuromem.store.rows import Row

VERSIONS = """
    SELECT e.kind::text AS kind, e.superseded_at IS NULL AS current, {seen} AS seen, {condition} AS passes
    FROM {s}.entries e WHERE e.user_id = :user AND e.item = CAST(:item AS uuid)
    ORDER BY e.version DESC
"""


async def reason(transaction: Transaction, query: Query, item: str) -> tuple[str, str] | None:
    """Return by what an item is hidden and in which way, None when it is not; raises `NotFoundError`."""
    rows: Sequence[Row] = ()
    if _is_uuid(item):
        condition, params = visible.condition(query.filters)
        as_of = query.filters.as_of
        seen = visible.visible_at("e") if as_of is not None else "e.superseded_at IS NULL"
        sql = VERSIONS.replace("{seen}", seen).replace("{condition}", condition or "true")
        rows = await transaction.all(sql, {"user": query.user_id, "item": item, **params})
    if not rows:
        raise NotFoundError(f"User {query.user_id!r} has no memory, message or passage with the id {item!r}.")
    seen_rows = [row for row in rows if row.seen]
    if not seen_rows:
        if query.filters.as_of is not None:
            return "as_of", "No version of it was current at that moment."
        return "superseded", "It was superseded or deleted; as_of shows when it still held."
    if NAME_OF[seen_rows[0].kind] not in query.filters.kinds:
        return "filter", f"It is a {NAME_OF[seen_rows[0].kind]}, and the question asks for other kinds."
    if not seen_rows[0].passes:
        return "filter", "One of the filters (memory type, created, event, metadata) leaves it out."
    return None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
