"""The row of a user: the lock that orders the writers of one user, the user's clock, and the user's language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction


# The first statement of every transaction that writes: takes the lock that puts the writers of one user in order, and
# returns the next moment of the user's clock and numbers for new index entries.
BEGIN_WRITE = """
    INSERT INTO {s}.users AS u (user_id, created_at, last_tx, last_entry)
    VALUES (:user, clock_timestamp(), clock_timestamp(), :entries)
    ON CONFLICT (user_id) DO UPDATE SET
        last_tx = greatest(clock_timestamp(), u.last_tx + interval '1 microsecond'),
        last_entry = u.last_entry + :entries
    RETURNING last_tx, last_entry, language
"""


# The same lock without a moment, for work that adds nothing to the user's history.
LOCK_USER = "SELECT 1 FROM {s}.users WHERE user_id = :user FOR NO KEY UPDATE"


SET_LANGUAGE = "UPDATE {s}.users SET language = :language WHERE user_id = :user"


RESERVE_ENTRIES = (
    "UPDATE {s}.users SET last_entry = last_entry + :entries WHERE user_id = :user RETURNING last_entry"
)


@dataclass(frozen=True, slots=True)
class WriteStamp:
    """What a writing transaction begins with.

    Attributes:
        now: Its moment on the user's clock: strictly later than that of every transaction of the user before it.
        first_entry: The first of the numbers that were reserved for its index entries.
        language: The user's language, None when it is not known.
    """

    now: datetime
    first_entry: int
    language: str | None


async def begin_write(transaction: Transaction, user_id: str, entries: int = 0) -> WriteStamp:
    """Take the user's lock, which orders the user's writers, and return this transaction's moment.

    Args:
        transaction: A transaction of the user in which nothing was written yet.
        user_id: The user; the row is inserted when it is missing.
        entries: How many numbers to reserve for index entries.
    """
    row = await transaction.first(BEGIN_WRITE, {"user": user_id, "entries": entries})
    assert row is not None
    return WriteStamp(row.last_tx, row.last_entry - entries + 1, row.language)


async def set_language(transaction: Transaction, user_id: str, language: str | None) -> None:
    """Set the language of a user's texts, in a transaction that began with `begin_write`."""
    await transaction.run(SET_LANGUAGE, {"user": user_id, "language": language})


async def reserve_entries(transaction: Transaction, user_id: str, entries: int) -> int:
    """Reserve further numbers for index entries and return the first, after `begin_write`."""
    last = await transaction.value(RESERVE_ENTRIES, {"user": user_id, "entries": entries})
    return int(last) - entries + 1


async def lock_user(transaction: Transaction, user_id: str) -> None:
    """Take the user's lock before any other lock, so that erasing an entry and embedding it cannot deadlock."""
    await transaction.run(LOCK_USER, {"user": user_id})


SELECT_LANGUAGE = "SELECT language FROM {s}.users WHERE user_id = :user"


async def user_language(database: Database, user_id: str) -> str | None:
    """Return the user's language; None when it is not known."""
    async with database.reader(user_id) as transaction:
        found: str | None = await transaction.value(SELECT_LANGUAGE, {"user": user_id})
    return found
