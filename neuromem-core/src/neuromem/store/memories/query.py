"""Reads and changes of single memories, and of those that a filter names."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from neuromem.errors import InputError
from neuromem.store.memories.closing import close_memories, erase_memories_from_index
from neuromem.store.memories.evidence import confidence_expression
from neuromem.store.memories.versions import close_versions
from neuromem.store.memories.write import MEMORY_COLUMNS, memory_from_row
from neuromem.store.search_index.filters import memory_visibility

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

Order = Literal["created_at", "occurred_at", "importance"]

# What memories are ordered by, never NULL.
MEMORY_KEYS: dict[Order, tuple[str, str]] = {
    "created_at": ("m.created_at", "timestamptz"),
    "occurred_at": ("coalesce(m.occurred_at, m.created_at)", "timestamptz"),
    "importance": ("coalesce(m.importance, 0)", "float8"),
}

# The last version of what was archived and is not back.
ARCHIVED = """
    m.superseded_why = 'archived' AND NOT EXISTS (
        SELECT FROM {s}.memories l WHERE l.user_id = m.user_id AND l.memory_id = m.memory_id AND l.version > m.version)
"""

GET = """
    SELECT {columns}, m.entry FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_id = CAST(:memory AS uuid) AND {visible}
"""

LIST = """
    SELECT {columns}, {key} AS place FROM {s}.memories m
    WHERE m.user_id = :user AND {condition}
    ORDER BY {key} {direction}, m.memory_id {direction} LIMIT :limit
"""

IDS = "SELECT m.memory_id FROM {s}.memories m WHERE m.user_id = :user AND {condition} ORDER BY m.memory_id"

LAST_VERSION = """
    SELECT m.version, m.entry, m.superseded_at IS NULL AS current FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_id = CAST(:memory AS uuid) ORDER BY m.version DESC LIMIT 1
"""

SAME_MEMORY = """
    SELECT m.memory_id FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_type = :memory_type AND m.content_hash = :hash
      AND m.superseded_at IS NULL AND m.memory_id <> CAST(:memory AS uuid)
"""

ERASE = """
    WITH gone AS (
        DELETE FROM {s}.memories WHERE user_id = :user AND memory_id = ANY(CAST(:memories AS uuid[]))
        RETURNING memory_id, entry
    ), used AS (
        DELETE FROM {s}.accesses WHERE user_id = :user AND memory_id = ANY(CAST(:memories AS uuid[]))
    )
    SELECT memory_id, entry FROM gone
"""


class MemoryPage(list["Memory"]):
    """Memories; ``cursor`` asks for those that follow, None: these were the last."""

    def __init__(self, memories: Sequence[Memory], cursor: str | None) -> None:
        super().__init__(memories)
        self.cursor = cursor


@dataclass(frozen=True, slots=True)
class MemoryFilter:
    """Which memories are meant; every field narrows, None leaves open."""

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
        """Whether anything is left out."""
        return self != MemoryFilter(archived=self.archived, as_of=self.as_of)


def memory_columns(as_of: datetime | None) -> str:
    """Return the columns of a memory: of a version that was said again, the past knows only the earlier sources.

    Of an insight the confidence is what its evidence gives it at that moment.
    """
    said = memory_visibility(as_of)[1]
    known = MEMORY_COLUMNS.replace("s.version = m.version", f"s.version = m.version AND {said}")
    return known.replace("m.confidence", f"{confidence_expression(as_of)} AS confidence")


def memory_holds(as_of: datetime | None) -> tuple[str, dict[str, Any]]:
    """Return the SQL for "memory m holds, now or then" and its parameters."""
    return memory_visibility(as_of)[0], {} if as_of is None else {"as_of": as_of}


def memory_condition(chosen: MemoryFilter) -> tuple[str, dict[str, Any]]:
    """Return the SQL for a filter over ``memories m`` and its parameters."""
    sql, params = (ARCHIVED, {}) if chosen.archived else memory_holds(chosen.as_of)
    terms = [sql]

    def term(sql: str, name: str, value: Any) -> None:
        if value is not None:
            terms.append(sql)
            params[name] = value

    term(
        "m.memory_type = ANY(CAST(:types AS text[]))",
        "types",
        chosen.memory_types and list(chosen.memory_types),
    )
    term("m.created_at >= :created_after", "created_after", chosen.created_after)
    term("m.created_at < :created_before", "created_before", chosen.created_before)
    term("m.occurred_at >= :event_after", "event_after", chosen.event_after)
    term("m.occurred_at < :event_before", "event_before", chosen.event_before)
    term("coalesce(m.importance, 0) >= :least", "least", chosen.min_importance)
    term("coalesce(m.importance, 0) <= :most", "most", chosen.max_importance)
    term("m.pinned = :pinned", "pinned", chosen.pinned)
    if chosen.metadata:
        term("m.metadata @> CAST(:metadata AS jsonb)", "metadata", json.dumps(dict(chosen.metadata)))
    return " AND ".join(terms), params


async def fetch_memory(
    transaction: Transaction, user_id: str, memory_id: str, as_of: datetime | None = None
) -> tuple[Memory, int] | None:
    """Return a memory as it is, or was then, and its number in the index."""
    sql, params = memory_holds(as_of)
    row = await transaction.first(
        GET.replace("{visible}", sql).replace("{columns}", memory_columns(as_of)),
        {"user": user_id, "memory": memory_id, **params},
    )
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
    """Return the memories that a filter names, in order, those after the cursor."""
    key, kind = MEMORY_KEYS[order]
    sql, params = memory_condition(chosen)
    if cursor is not None:
        place, last = _read(cursor, order, descending)
        sql += f" AND ({key}, m.memory_id) {'<' if descending else '>'} (CAST(:place AS {kind}), CAST(:last AS uuid))"
        params |= {"place": place, "last": last}
    statement = (
        LIST.replace("{condition}", sql)
        .replace("{key}", key)
        .replace("{columns}", memory_columns(chosen.as_of))
    )
    async with database.reader(user_id, as_of=chosen.as_of) as transaction:
        rows = await transaction.all(
            statement.replace("{direction}", "DESC" if descending else "ASC"),
            {"user": user_id, "limit": limit + 1, **params},
        )
    more = len(rows) > limit
    rows = rows[:limit]
    return MemoryPage(
        [memory_from_row(row) for row in rows], _cursor(rows[-1], order, descending) if more else None
    )


def _cursor(row: Row, order: Order, descending: bool) -> str:
    place = row.place.isoformat() if isinstance(row.place, datetime) else row.place
    text = json.dumps([order, descending, place, str(row.memory_id)])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read(cursor: str, order: Order, descending: bool) -> tuple[Any, str]:
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
    """Return the ids of the memories that a filter names."""
    sql, params = memory_condition(chosen)
    rows = await transaction.all(IDS.replace("{condition}", sql), {"user": user_id, **params})
    return [str(row.memory_id) for row in rows]


async def end_memories(
    transaction: Transaction, user_id: str, memories: Sequence[str], now: datetime, why: str
) -> int:
    """Take memories out of the present; returns how many were there."""
    entries = await close_versions(transaction, user_id, memories, now, why)
    await close_memories(transaction, user_id, entries, now)
    return len(entries)


async def erase_memories(transaction: Transaction, user_id: str, memories: Sequence[str]) -> int:
    """Erase memories with all their versions, from the past too; returns how many there were."""
    rows = await transaction.all(ERASE, {"user": user_id, "memories": list(memories)})
    await erase_memories_from_index(transaction, user_id, [row.entry for row in rows])
    return len({row.memory_id for row in rows})
