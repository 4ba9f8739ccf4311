"""Reads single memories, and pages of the memories that a filter selects."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from neuromem.errors import InputError
from neuromem.store.database.sql import NOTHING, Fragment, all_of, fill
from neuromem.store.memories.memory_rows import memory_columns, memory_from_row
from neuromem.store.search_index.filters import memory_holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

Order = Literal["created_at", "occurred_at", "importance"]

# The expression by which memories are ordered, which is never NULL, and its type.
MEMORY_KEYS: dict[Order, tuple[str, str]] = {
    "created_at": ("m.created_at", "timestamptz"),
    "occurred_at": ("coalesce(m.occurred_at, m.created_at)", "timestamptz"),
    "importance": ("coalesce(m.importance, 0)", "float8"),
}

# Version m is the last of a memory that was archived and not restored.
IS_ARCHIVED = """
    m.superseded_why = 'archived' AND NOT EXISTS (
        SELECT FROM {s}.memories l WHERE l.user_id = m.user_id AND l.memory_id = m.memory_id AND l.version > m.version)
"""

SELECT_MEMORY = """
    SELECT {columns}, m.entry FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_id = CAST(:memory AS uuid) AND {holds}
"""

SELECT_PAGE = """
    SELECT {columns}, {key} AS place FROM {s}.memories m
    WHERE m.user_id = :user AND {condition}{after_cursor}
    ORDER BY {key} {direction}, m.memory_id {direction} LIMIT :limit
"""

SELECT_IDS = (
    "SELECT m.memory_id FROM {s}.memories m WHERE m.user_id = :user AND {condition} ORDER BY m.memory_id"
)


class MemoryPage(list["Memory"]):
    """A page of memories.

    Attributes:
        cursor: What asks for the page that follows; None where these were the last.
    """

    def __init__(self, memories: Sequence[Memory], cursor: str | None) -> None:
        super().__init__(memories)
        self.cursor = cursor


@dataclass(frozen=True, slots=True)
class MemoryFilter:
    """Which memories to select; every field narrows the selection, None leaves it open.

    Attributes:
        memory_types: Of one of these types.
        created_after: Learned then or later.
        created_before: Learned earlier.
        event_after: About something that happened then or later.
        event_before: About something that happened earlier.
        min_importance: At least as important; without an importance counts as 0.
        max_importance: At most as important.
        metadata: With all of these pairs in their metadata.
        pinned: Pinned or not.
        archived: Those that are archived, in place of those that hold.
        as_of: Those that held at that moment; None for now.
    """

    memory_types: tuple[str, ...] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    event_after: datetime | None = None
    event_before: datetime | None = None
    min_importance: float | None = None
    max_importance: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    pinned: bool | None = None
    archived: bool = False
    as_of: datetime | None = None

    @property
    def narrows(self) -> bool:
        """Whether any field narrows the selection."""
        return self != MemoryFilter(archived=self.archived, as_of=self.as_of)


def memory_condition(chosen: MemoryFilter) -> Fragment:
    """Return a filter as a condition over ``memories m``."""
    conditions = [Fragment(IS_ARCHIVED) if chosen.archived else memory_holds(chosen.as_of)]

    def narrow(sql: str, name: str, value: Any) -> None:
        if value is not None:
            conditions.append(Fragment(sql, {name: value}))

    narrow(
        "m.memory_type = ANY(CAST(:types AS text[]))",
        "types",
        chosen.memory_types and list(chosen.memory_types),
    )
    narrow("m.created_at >= :created_after", "created_after", chosen.created_after)
    narrow("m.created_at < :created_before", "created_before", chosen.created_before)
    narrow("m.occurred_at >= :event_after", "event_after", chosen.event_after)
    narrow("m.occurred_at < :event_before", "event_before", chosen.event_before)
    narrow("coalesce(m.importance, 0) >= :least", "least", chosen.min_importance)
    narrow("coalesce(m.importance, 0) <= :most", "most", chosen.max_importance)
    narrow("m.pinned = :pinned", "pinned", chosen.pinned)
    if chosen.metadata:
        narrow("m.metadata @> CAST(:metadata AS jsonb)", "metadata", json.dumps(dict(chosen.metadata)))
    return all_of(conditions)


async def fetch_memory(
    transaction: Transaction, user_id: str, memory_id: str, as_of: datetime | None = None
) -> tuple[Memory, int] | None:
    """Return a memory as it is now or was at ``as_of``, with its number in the search index; None without one."""
    sql = fill(SELECT_MEMORY, columns=memory_columns(as_of), holds=memory_holds(as_of))
    row = await transaction.first(sql, {"user": user_id, "memory": memory_id})
    return None if row is None else (memory_from_row(row), row.entry)


async def fetch_memory_page(
    database: Database,
    user_id: str,
    chosen: MemoryFilter,
    *,
    order: Order,
    descending: bool,
    limit: int,
    cursor: str | None,
) -> MemoryPage:
    """Return a page of the memories that a filter selects.

    Args:
        database: The database to read from.
        user_id: Whose memories.
        chosen: Which memories.
        order: What they are ordered by.
        descending: Greatest first.
        limit: The most memories to return.
        cursor: The cursor of the page before; None for the first page.

    Raises:
        InputError: The cursor is none, or belongs to another order.
    """
    key, key_type = MEMORY_KEYS[order]
    after_cursor = NOTHING
    if cursor is not None:
        place, last = _decode_cursor(cursor, order, descending)
        after_cursor = Fragment(
            f" AND ({key}, m.memory_id) {'<' if descending else '>'} "
            f"(CAST(:place AS {key_type}), CAST(:last AS uuid))",
            {"place": place, "last": last},
        )
    sql = fill(
        SELECT_PAGE,
        columns=memory_columns(chosen.as_of),
        key=key,
        condition=memory_condition(chosen),
        after_cursor=after_cursor,
        direction="DESC" if descending else "ASC",
    )
    async with database.reader(user_id, as_of=chosen.as_of) as transaction:
        rows = await transaction.all(sql, {"user": user_id, "limit": limit + 1})
    more = len(rows) > limit
    rows = rows[:limit]
    return MemoryPage(
        [memory_from_row(row) for row in rows], _encode_cursor(rows[-1], order, descending) if more else None
    )


def _encode_cursor(row: Row, order: Order, descending: bool) -> str:
    place = row.place.isoformat() if isinstance(row.place, datetime) else row.place
    text = json.dumps([order, descending, place, str(row.memory_id)])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _decode_cursor(cursor: str, order: Order, descending: bool) -> tuple[Any, str]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        made_for, direction, place, last = found
        value = datetime.fromisoformat(place) if isinstance(place, str) else float(place)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"The cursor {cursor!r:.60} is not one that list_memories returned.") from error
    if (made_for, direction) != (order, descending):
        raise InputError("The cursor belongs to a list in another order; begin that one without a cursor.")
    return value, str(last)


async def fetch_memory_ids(transaction: Transaction, user_id: str, chosen: MemoryFilter) -> list[str]:
    """Return the ids of the memories that a filter selects."""
    rows = await transaction.all(fill(SELECT_IDS, condition=memory_condition(chosen)), {"user": user_id})
    return [str(row.memory_id) for row in rows]
