"""Finds memories that nobody has used for long, and decides which of these may be forgotten (`forgettable_ids`).

A memory is used when it is learned, changed, stated again, or returned by recall.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.database.sql import TRUE, Fragment, fill
from neuromem.store.memories.memory_rows import MEMORY_COLUMNS, memory_from_row
from neuromem.store.search_index.filters import memory_holds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

LAST_USE = (
    "greatest(m.created_at, coalesce(a.last_at, m.created_at), coalesce(m.reinforced_at, m.created_at))"
)

SELECT_UNUSED = """
    SELECT {columns} FROM {s}.memories m
    LEFT JOIN {s}.accesses a ON a.user_id = :user AND a.memory_id = m.memory_id
    WHERE m.user_id = :user AND {holds} AND {last_use} < now() - CAST(:unused AS interval) AND {narrowed}
    ORDER BY {last_use}, m.memory_id LIMIT :limit
"""

FORGETTABLE = """
    NOT m.pinned AND coalesce(m.importance, 5) <= :most AND coalesce(m.occurred_at, m.created_at) < now()
    - CAST(:age AS interval)
"""


async def unused_memories(database: Database, user_id: str, unused: timedelta, limit: int) -> list[Memory]:
    """Return memories that were not used for some time, the longest unused first.

    Args:
        database: The database to read from.
        user_id: Whose memories.
        unused: For how long at least.
        limit: The most memories to return.
    """
    async with database.reader(user_id) as transaction:
        rows = await _select_unused(transaction, user_id, unused, TRUE, limit)
    return [memory_from_row(row) for row in rows]


async def forgettable_ids(
    transaction: Transaction, user_id: str, *, unused: timedelta, age: timedelta, most: float
) -> list[str]:
    """Return the ids of memories that are unused, unimportant, old and not pinned.

    Args:
        transaction: A transaction of the user's.
        user_id: Whose memories.
        unused: For how long at least they were not used.
        age: How long ago at least what they say happened.
        most: The importance that they have at most; without an importance a memory counts as 5.
    """
    narrowed = Fragment(FORGETTABLE, {"age": age, "most": most})
    rows = await _select_unused(transaction, user_id, unused, narrowed, None)
    return [str(row.memory_id) for row in rows]


async def _select_unused(
    transaction: Transaction, user_id: str, unused: timedelta, narrowed: Fragment, limit: int | None
) -> Sequence[Row]:
    sql = fill(
        SELECT_UNUSED, columns=MEMORY_COLUMNS, holds=memory_holds(None), last_use=LAST_USE, narrowed=narrowed
    )
    return await transaction.all(sql, {"user": user_id, "unused": unused, "limit": limit})
