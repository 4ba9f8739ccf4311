"""The user's row: the lock that orders the writers of one user, the user's clock, and the user's language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction


# The lock that orders the writers of one user, the next moment of the user's own clock, and numbers for new
# entries: the first statement of every transaction that writes.
BEGIN = """
    INSERT INTO {s}.users AS u (user_id, created_at, last_tx, last_entry)
    VALUES (:user, clock_timestamp(), clock_timestamp(), :entries)
    ON CONFLICT (user_id) DO UPDATE SET
        last_tx = greatest(clock_timestamp(), u.last_tx + interval '1 microsecond'),
        last_entry = u.last_entry + :entries
    RETURNING last_tx, last_entry, language
"""


# The same lock without a moment, for work that adds nothing to the user's history.
LOCK = "SELECT 1 FROM {s}.users WHERE user_id = :user FOR NO KEY UPDATE"


SPEAK = "UPDATE {s}.users SET language = :language WHERE user_id = :user"


RESERVE = "UPDATE {s}.users SET last_entry = last_entry + :entries WHERE user_id = :user RETURNING last_entry"


@dataclass(frozen=True, slots=True)
class WriteStamp:
    """What a writing transaction begins with: its place on the user's clock and numbers for its entries."""

    now: datetime
    first_entry: int
    language: str | None


async def begin_write(transaction: Transaction, user_id: str, entries: int = 0) -> WriteStamp:
    """Take the user's lock and return the moment at which this transaction happens."""
    row = await transaction.first(BEGIN, {"user": user_id, "entries": entries})
    assert row is not None
    return WriteStamp(row.last_tx, row.last_entry - entries + 1, row.language)


async def set_language(transaction: Transaction, user_id: str, language: str | None) -> None:
    """Keep the language that a user's texts are in, in a transaction that has begun."""
    await transaction.run(SPEAK, {"user": user_id, "language": language})


async def reserve_entries(transaction: Transaction, user_id: str, entries: int) -> int:
    """Return the first of ``entries`` further numbers, in a transaction that has begun."""
    last = await transaction.value(RESERVE, {"user": user_id, "entries": entries})
    return int(last) - entries + 1


async def lock_user(transaction: Transaction, user_id: str) -> None:
    """Take the user's lock before any other: who erases an entry and who embeds it must not wait for each other."""
    await transaction.run(LOCK, {"user": user_id})


LANGUAGE = "SELECT language FROM {s}.users WHERE user_id = :user"


async def user_language(database: Database, user_id: str) -> str | None:
    """Return the user's language, None when nobody said."""
    async with database.reader(user_id) as transaction:
        found: str | None = await transaction.value(LANGUAGE, {"user": user_id})
    return found
