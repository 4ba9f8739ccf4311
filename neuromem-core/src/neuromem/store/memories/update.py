"""Changes to one memory: each closes the current version and adds the next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuromem.domain.memories import NewMemory
from neuromem.errors import ConflictError, NotFoundError
from neuromem.store.database.users import WriteStamp, begin_write
from neuromem.store.memories.query import LAST_VERSION, SAME_MEMORY, end_memories, fetch_memory
from neuromem.store.memories.versions import VersionCopy, expire_memories, insert_versions
from neuromem.store.memories.write import statement_hash
from neuromem.store.search_index.entries import MEMORY_KIND, EntryCopy, IndexEntry, add_entries, copy_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Database, Transaction

# What can be changed, and its type in the database.
COLUMNS = {
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
INDEXED = frozenset({"content", "occurred_at"})
"""What a memory is found by: when it changes, words and vector are made anew."""


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
    """Store a next version with some fields changed and return it; no change makes none.

    Raises `NotFoundError` without such a memory, `ConflictError` when ``expected`` is not its current version or
    another memory says the same already.
    """
    async with database.user(user_id) as transaction:
        moment = await begin_write(transaction, user_id, 1)
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
        if changed.keys() & {"content", "memory_type", "occurred_at"}:
            await _alone(transaction, user_id, memory_id, new)
        await end_memories(transaction, user_id, [memory_id], moment.now, why)
        await _renew(transaction, user_id, memory_id, memory.version, changed, moment, new, origin)
        if INDEXED & changed.keys():
            fresh = IndexEntry(
                entry=moment.first_entry,
                item=memory_id,
                memory_type=new.memory_type,
                version=memory.version + 1,
                tokens=tokens(new, moment.language),
                occurred_at=new.occurred_at,
            )
            await add_entries(transaction, user_id, MEMORY_KIND, [fresh], moment.now)
        else:
            copy = EntryCopy(entry, moment.first_entry, memory_id, memory.version + 1)
            await copy_entries(transaction, user_id, [copy], moment.now)
        stored = await fetch_memory(transaction, user_id, memory_id)
    # One that expires at once is stored, and not found any more.
    return stored[0] if stored is not None else memory


async def store_restored(database: Database, user_id: str, memory_id: str) -> Memory:
    """Bring back a memory that was deleted, archived or has expired, as a next version; one that holds is returned.

    Raises `NotFoundError` without such a memory, `ConflictError` when another says the same by now.
    """
    async with database.user(user_id) as transaction:
        moment = await begin_write(transaction, user_id, 1)
        await expire_memories(transaction, user_id)
        last = await transaction.first(LAST_VERSION, {"user": user_id, "memory": memory_id})
        if last is None:
            raise NotFoundError(f"User {user_id!r} has no memory {memory_id!r}, in the past neither.")
        if not last.current:
            row = await transaction.first(
                "SELECT content, memory_type, occurred_at FROM {s}.memories WHERE user_id = :user "
                "AND memory_id = CAST(:memory AS uuid) AND version = :version",
                {"user": user_id, "memory": memory_id, "version": last.version},
            )
            assert row is not None
            new = NewMemory(content=row.content, memory_type=row.memory_type, occurred_at=row.occurred_at)
            await _alone(transaction, user_id, memory_id, new)
            await _renew(
                transaction,
                user_id,
                memory_id,
                last.version,
                {"expires_at": None},
                moment,
                new,
                {"restored": moment.now.isoformat()},
                keep=True,
            )
            copy = EntryCopy(last.entry, moment.first_entry, memory_id, last.version + 1)
            await copy_entries(transaction, user_id, [copy], moment.now)
        stored = await fetch_memory(transaction, user_id, memory_id)
    assert stored is not None
    return stored[0]


async def _alone(transaction: Transaction, user_id: str, memory_id: str, new: NewMemory) -> None:
    """Raise when another memory says the same."""
    same = await transaction.value(
        SAME_MEMORY,
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


async def _renew(
    transaction: Transaction,
    user_id: str,
    memory_id: str,
    version: int,
    changed: Mapping[str, Any],
    moment: WriteStamp,
    new: NewMemory,
    origin: Mapping[str, Any],
    *,
    keep: bool = False,
) -> None:
    """Store the version after ``version``; with ``keep`` its origin is added to, else replaced."""
    sql = {name: f"CAST(:{name} AS {COLUMNS[name]})" for name in changed}
    params = {n: json.dumps(dict(v)) if n == "metadata" else v for n, v in changed.items()}
    sql["content_hash"] = "CAST(:hash AS bytea)"
    if keep or changed.keys() & {
        "content",
        "occurred_at",
        "memory_type",
    }:  # what it was evidence for has ended
        sql["digested_at"] = "CAST(NULL AS timestamptz)"
    sql["origin"] = "(m.origin - 'rollback') || CAST(:origin AS jsonb)" if keep else "CAST(:origin AS jsonb)"
    pick = VersionCopy(memory_id, version, version + 1, moment.first_entry)
    await insert_versions(
        transaction,
        user_id,
        [pick],
        moment.now,
        sql,
        {**params, "hash": statement_hash(new), "origin": json.dumps(dict(origin))},
    )
