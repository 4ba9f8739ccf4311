"""Ends or erases memories in the search index, and with them the insights that they alone supported.

The rule that this module decides: before a transaction that ends or erases memories commits, it also ends or erases the
insights that nothing supports any more. Which insights those are is decided in `evidence.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.memories.evidence import delete_orphaned_insights, retire_unsupported_insights
from neuromem.store.search_index.entries import close_entries, erase_entries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction

DELETE_MEMORIES = """
    WITH deleted AS (
        DELETE FROM {s}.memories WHERE user_id = :user AND memory_id = ANY(CAST(:memories AS uuid[]))
        RETURNING memory_id, entry
    ), deleted_accesses AS (
        DELETE FROM {s}.accesses WHERE user_id = :user AND memory_id = ANY(CAST(:memories AS uuid[]))
    )
    SELECT memory_id, entry FROM deleted
"""


async def close_memories(
    transaction: Transaction, user_id: str, entries: Sequence[int], now: datetime
) -> None:
    """Close the index entries of memories that ended at ``now``, and retire insights that only they supported."""
    await close_entries(transaction, user_id, entries, now)
    if entries:
        retire_unsupported_later(transaction, user_id, entries)


async def erase_memories(transaction: Transaction, user_id: str, memories: Sequence[str]) -> int:
    """Erase memories with all their versions, from the past too.

    Returns:
        How many of the memories there were.
    """
    rows = await transaction.all(DELETE_MEMORIES, {"user": user_id, "memories": list(memories)})
    await erase_memories_from_index(transaction, user_id, [row.entry for row in rows])
    return len({row.memory_id for row in rows})


async def erase_memories_from_index(transaction: Transaction, user_id: str, entries: Sequence[int]) -> None:
    """Erase index entries of memories, from the past too, and what was derived from these memories alone."""

    async def erase_orphans() -> None:
        orphans = await delete_orphaned_insights(transaction, user_id)
        if orphans:
            await erase_memories_from_index(transaction, user_id, orphans)

    if entries:
        transaction.before_commit(erase_orphans)
    await erase_entries(transaction, user_id, entries)
    if entries:
        retire_unsupported_later(transaction, user_id)


def retire_unsupported_later(
    transaction: Transaction, user_id: str, entries: Sequence[int] | None = None, insights: Sequence[str] = ()
) -> None:
    """Retire the insights that nothing supports any more, right before the transaction commits.

    A retired insight may have supported another, so this repeats until none is left.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose insights.
        entries: Index entries of memories that ended; None checks every insight of the user.
        insights: Ids of further insights to check.
    """

    async def retire() -> None:
        ended = await retire_unsupported_insights(transaction, user_id, entries, insights)
        if ended:
            await close_memories(transaction, user_id, [row.entry for row in ended], ended[0].now)

    transaction.before_commit(retire)
