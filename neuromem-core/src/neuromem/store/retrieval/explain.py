"""Why an item is not in an answer: what excludes it from a question, whatever its words and its vector."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING
from uuid import UUID

from neuromem.domain.query import Filters
from neuromem.errors import NotFoundError
from neuromem.store.database.sql import Fragment, fill, merged
from neuromem.store.search_index.entries import KIND_NAMES
from neuromem.store.search_index.filters import current_version, filter_condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import Query
    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

# The fields of `Filters` that narrow, and what the arguments of recall are called.
NARROWING_FILTERS = {
    "memory_types": "memory_type",
    "created_after": "created_after",
    "created_before": "created_before",
    "event_after": "event_after",
    "event_before": "event_before",
    "metadata": "metadata",
    "session_id": "session_id",
    "documents": "documents",
}

# Every version of an item, the newest first, with what each filter says of it.
SELECT_VERSIONS = """
    SELECT e.kind::text AS kind, {current} AS is_current, e.extracted, m.expires_at, {holds} AS holds, m.superseded_why,
           e.occurred_at IS NULL AS timeless, CAST(ARRAY[{passes}] AS boolean[]) AS passes
    FROM {s}.entries e
    LEFT JOIN {s}.memories m ON m.user_id = e.user_id AND m.memory_id = e.item AND m.version = e.version
                                AND e.kind = 'k'
    WHERE e.user_id = :user AND e.item = CAST(:item AS uuid)
    ORDER BY e.version DESC
"""

SELECT_IS_EMBEDDED = """
    SELECT EXISTS (
        SELECT FROM {s}.entries e
        JOIN {s}.vectors v ON v.user_id = e.user_id AND v.entry = e.entry
        JOIN {s}.spaces s ON s.space = v.space AND s.active
        WHERE e.user_id = :user AND e.item = CAST(:item AS uuid))
"""


async def exclusion_reason(transaction: Transaction, query: Query, item: str) -> tuple[str, str] | None:
    """Return what excludes an item from a question, whatever its words and its vector.

    Args:
        transaction: A transaction of the user.
        query: The question, with its filters.
        item: The id of a message, memory or passage.

    Returns:
        The name of the reason and a sentence; None when nothing excludes the item.

    Raises:
        NotFoundError: The user has no such item.
    """
    narrowing, statement = _versions(query.filters)
    rows: Sequence[Row] = ()
    if _is_uuid(item):
        rows = await transaction.all(statement, {"user": query.user_id, "item": item})
    if not rows:
        raise NotFoundError(f"User {query.user_id!r} has no memory, message or passage with the id {item!r}.")
    version = next((row for row in rows if row.is_current), None)
    if version is None:
        if query.filters.as_of is not None:
            return "as_of", "No version of it was current at that moment."
        why = rows[0].superseded_why or "deleted"
        return "superseded", f"It does not hold any more ({why}); as_of shows it as of a moment when it did."
    if version.holds is False:
        return "expired", f"It expired at {version.expires_at.isoformat()}."
    if KIND_NAMES[version.kind] not in query.filters.kinds:
        return "filter", f"It is a {KIND_NAMES[version.kind]}, and the question asks for other kinds."
    for name, passes in zip(narrowing, version.passes, strict=True):
        if not passes:
            timeless = (
                ": when it happened is not known" if name.startswith("event_") and version.timeless else ""
            )
            return "filter", f"The filter {NARROWING_FILTERS[name]} leaves it out{timeless}."
    if version.kind == "m" and version.extracted and not query.filters.include_extracted:
        return (
            "extracted",
            "A model has extracted this message, and the memories derived from it are shown in its place; "
            "include_conversations=True shows both.",
        )
    return None


async def is_embedded(transaction: Transaction, query: Query, item: str) -> bool:
    """Return whether an item has a vector in the active space."""
    return bool(await transaction.value(SELECT_IS_EMBEDDED, {"user": query.user_id, "item": item}))


def _versions(filters: Filters) -> tuple[list[str], Fragment]:
    """Return the fields of the filters that were given, and the statement that tests each version on each of them."""
    no_filters = Filters(include_extracted=True)
    narrowing = [
        f.name
        for f in fields(filters)
        if f.name in NARROWING_FILTERS and getattr(filters, f.name) is not None
    ]
    conditions = [
        filter_condition(replace(no_filters, **{name: getattr(filters, name)})) for name in narrowing
    ]
    moment = Fragment("now()") if filters.as_of is None else Fragment(":as_of", {"as_of": filters.as_of})
    passes = Fragment(", ".join(f"coalesce({one.sql}, false)" for one in conditions), merged(conditions))
    return narrowing, fill(
        SELECT_VERSIONS,
        current=current_version("e", filters.as_of),
        holds=fill("(m.expires_at IS NULL OR m.expires_at > {moment})", moment=moment),
        passes=passes,
    )


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
