"""Ends or erases memories in the search index, and retires the insights that rested on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.memories.evidence import delete_orphaned_insights, retire_unsupported_insights
from neuromem.store.search_index.entries import close_entries, erase_entries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction


async def close_memories(
    transaction: Transaction, user_id: str, entries: Sequence[int], now: datetime
) -> None:
    """Take the index entries of memories out of the present at ``now``.

    Before the transaction commits, the insights that rested on these memories are retired.
    """
    await close_entries(transaction, user_id, entries, now)
    if entries:
        retire_unsupported_later(transaction, user_id, entries)


async def erase_memories_from_index(transaction: Transaction, user_id: str, entries: Sequence[int]) -> None:
    """Erase the index entries of memories, from the past too.

    Before the transaction commits, what was derived from these memories alone is erased as well.
    """

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
    """Retire the insights that nothing supports any more, before the transaction commits.

    ``entries`` are index entries of memories that ended, None checks every insight of the user; ``insights`` are
    checked as well. An insight that is retired may have supported another, so this repeats until none is left.
    """

    async def retire() -> None:
        ended = await retire_unsupported_insights(transaction, user_id, entries, insights)
        if ended:
            await close_memories(transaction, user_id, [row.entry for row in ended], ended[0].now)

    transaction.before_commit(retire)
