"""Changes one memory on a caller's behalf (`store_update`), or restores one (`store_restored`), as a next version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuromem.domain.memories import NewMemory
from neuromem.errors import ConflictError, NotFoundError
from neuromem.store.database.users import begin_write
from neuromem.store.memories.query import fetch_memory
from neuromem.store.memories.versions import VersionCopy, end_memories, expire_memories, insert_versions
from neuromem.store.memories.write import statement_hash
from neuromem.store.search_index.entries import MEMORY_KIND, EntryCopy, IndexEntry, add_entries, copy_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Database, Transaction

UPDATABLE_COLUMNS = {
    "content": "text",
    "memory_type": "text",
    "category": "text",
    "metadata": "jsonb",
    "importance": "float8",
    "occurred_at": "timestamptz",
    "valid_from": "timestamptz",
    "valid_until": "timestamptz",
    "expires_at": "timestamptz",
    "pinned": "boolean",
}
"""What a caller can change, with its type in the database."""
INDEXED_COLUMNS = frozenset({"content", "occurred_at"})
"""What a memory is found by: a change of these makes new postings and a new embedding."""
STATEMENT_COLUMNS = frozenset({"content", "occurred_at", "memory_type"})
"""What makes the statement of a memory: a change of these makes it say something else."""

# What the earlier version was evidence for has ended with it: the next digest reads the memory again.
NOT_DIGESTED = "CAST(NULL AS timestamptz)"

LAST_VERSION = """
    SELECT m.version, m.entry, m.superseded_at IS NULL AS current, m.content, m.memory_type, m.occurred_at
    FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_id = CAST(:memory AS uuid) ORDER BY m.version DESC LIMIT 1
"""

OTHER_CURRENT_MEMORY_WITH_HASH = """
    SELECT m.memory_id FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_type = :memory_type AND m.content_hash = :hash
      AND m.superseded_at IS NULL AND m.memory_id <> CAST(:memory AS uuid)
"""


async def store_update(
    database: Database,
    user_id: str,
    memory_id: str,
    changes: Mapping[str, Any],
    *,
    expected: int | None,
    origin: Mapping[str, Any],
    why: str,
    tokens: Callable[[NewMemory, str | None], Sequence[str]],
) -> Memory:
    """Store a next version of a memory with some fields changed.

    Args:
        database: The database to write to.
        user_id: Whose memory.
        memory_id: Which memory.
        changes: New values of `UPDATABLE_COLUMNS`; those that are the same make no version.
        expected: The version that the caller has read; None for any.
        origin: Who changes it.
        why: Why the current version ends, stored with it.
        tokens: Returns the words by which a memory is found, given the user's language.

    Returns:
        The memory as it is stored.

    Raises:
        NotFoundError: The user has no such memory.
        ConflictError: ``expected`` is not the current version, or another memory says the same.
    """
    async with database.user(user_id) as transaction:
        stamp = await begin_write(transaction, user_id, 1)
        found = await fetch_memory(transaction, user_id, memory_id)
        if found is None:
            raise NotFoundError(
                f"User {user_id!r} has no memory {memory_id!r}; list_memories() shows those there are, "
                "restore_memory() brings a deleted one back."
            )
        memory, entry = found
        if expected is not None and memory.version != expected:
            raise ConflictError(
                f"The memory {memory_id!r} of user {user_id!r} is at version {memory.version}, not {expected}: "
                "somebody else changed it first. Read it again and retry."
            )
        changed = {name: value for name, value in changes.items() if value != getattr(memory, name)}
        if not changed:
            return memory
        new = NewMemory(
            content=changed.get("content", memory.content),
            memory_type=changed.get("memory_type", memory.memory_type),
            occurred_at=changed.get("occurred_at", memory.occurred_at),
        )
        if changed.keys() & STATEMENT_COLUMNS:
            await _check_no_other_says_the_same(transaction, user_id, memory_id, new)
        await end_memories(transaction, user_id, [memory_id], stamp.now, why)
        copy = VersionCopy(memory_id, memory.version, memory.version + 1, stamp.first_entry)
        await _insert_updated_version(transaction, user_id, copy, changed, stamp.now, new, origin)
        if INDEXED_COLUMNS & changed.keys():
            fresh = IndexEntry(
                entry=stamp.first_entry,
                item=memory_id,
                memory_type=new.memory_type,
                version=copy.successor,
                tokens=tokens(new, stamp.language),
                occurred_at=new.occurred_at,
            )
            await add_entries(transaction, user_id, MEMORY_KIND, [fresh], stamp.now)
        else:
            await _copy_entry(transaction, user_id, entry, copy, stamp.now)
        stored = await fetch_memory(transaction, user_id, memory_id)
    # A memory that expires at once is stored, but cannot be fetched.
    return stored[0] if stored is not None else memory


async def store_restored(database: Database, user_id: str, memory_id: str) -> Memory:
    """Restore a memory that was deleted, archived or has expired, as a next version; one that holds is returned.

    Args:
        database: The database to write to.
        user_id: Whose memory.
        memory_id: Which memory.

    Returns:
        The memory as it is stored.

    Raises:
        NotFoundError: The user has no such memory, in the past neither.
        ConflictError: Another memory says the same by now.
    """
    async with database.user(user_id) as transaction:
        stamp = await begin_write(transaction, user_id, 1)
        await expire_memories(transaction, user_id)
        last = await transaction.first(LAST_VERSION, {"user": user_id, "memory": memory_id})
        if last is None:
            raise NotFoundError(f"User {user_id!r} has no memory {memory_id!r}, in the past neither.")
        if not last.current:
            new = NewMemory(content=last.content, memory_type=last.memory_type, occurred_at=last.occurred_at)
            await _check_no_other_says_the_same(transaction, user_id, memory_id, new)
            copy = VersionCopy(memory_id, last.version, last.version + 1, stamp.first_entry)
            await _insert_restored_version(transaction, user_id, copy, stamp.now, new)
            await _copy_entry(transaction, user_id, last.entry, copy, stamp.now)
        stored = await fetch_memory(transaction, user_id, memory_id)
    assert stored is not None
    return stored[0]


async def _check_no_other_says_the_same(
    transaction: Transaction, user_id: str, memory_id: str, new: NewMemory
) -> None:
    same = await transaction.value(
        OTHER_CURRENT_MEMORY_WITH_HASH,
        {
            "user": user_id,
            "memory": memory_id,
            "memory_type": new.memory_type,
            "hash": statement_hash(new),
        },
    )
    if same is not None:
        raise ConflictError(
            f"The memory {str(same)!r} of user {user_id!r} says the same already; nothing was changed. Delete one "
            "of the two."
        )


async def _insert_updated_version(
    transaction: Transaction,
    user_id: str,
    copy: VersionCopy,
    changed: Mapping[str, Any],
    now: datetime,
    new: NewMemory,
    origin: Mapping[str, Any],
) -> None:
    """Store the next version with changed columns, and with an origin of its own."""
    columns = {name: f"CAST(:{name} AS {UPDATABLE_COLUMNS[name]})" for name in changed}
    values = {name: json.dumps(dict(v)) if name == "metadata" else v for name, v in changed.items()}
    columns["content_hash"] = "CAST(:hash AS bytea)"
    columns["origin"] = "CAST(:origin AS jsonb)"
    if changed.keys() & STATEMENT_COLUMNS:
        columns["digested_at"] = NOT_DIGESTED
    values |= {"hash": statement_hash(new), "origin": json.dumps(dict(origin))}
    await insert_versions(transaction, user_id, [copy], now, columns, values)


async def _insert_restored_version(
    transaction: Transaction, user_id: str, copy: VersionCopy, now: datetime, new: NewMemory
) -> None:
    """Store the next version without an expiry; its origin says that it was restored."""
    columns = {
        "expires_at": "CAST(NULL AS timestamptz)",
        "content_hash": "CAST(:hash AS bytea)",
        "digested_at": NOT_DIGESTED,
        "origin": "(m.origin - 'rollback') || CAST(:origin AS jsonb)",
    }
    values = {"hash": statement_hash(new), "origin": json.dumps({"restored": now.isoformat()})}
    await insert_versions(transaction, user_id, [copy], now, columns, values)


async def _copy_entry(
    transaction: Transaction, user_id: str, entry: int, copy: VersionCopy, now: datetime
) -> None:
    """Index the next version by the postings and the embedding of the entry before."""
    copied = EntryCopy(entry, copy.entry, copy.memory_id, copy.successor)
    await copy_entries(transaction, user_id, [copied], now)
