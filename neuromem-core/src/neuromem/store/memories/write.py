"""Stores a memory that a caller adds (`insert_memory`); what extraction or a digest learns, `learned.py` stores.

The rule that this module decides: two memories say the same when their `statement_hash` is the same, and a statement
is current at most once.
"""

from __future__ import annotations

import json
from datetime import UTC
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.memory_types import memory_type_spec
from neuromem.domain.text.same_statement import statement_key
from neuromem.store.database.sql import fill
from neuromem.store.database.users import begin_write
from neuromem.store.memories.memory_rows import MEMORY_COLUMNS, memory_from_row
from neuromem.store.memories.versions import expire_memories
from neuromem.store.search_index.entries import MEMORY_KIND, IndexEntry, add_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuromem.domain.memories import Memory, NewMemory
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.users import WriteStamp

CURRENT_DUPLICATE = fill(
    """
    SELECT {columns} FROM {s}.memories m
    WHERE m.user_id = :user AND m.memory_type = :memory_type AND m.content_hash = :hash
      AND m.superseded_at IS NULL
    """,
    columns=MEMORY_COLUMNS,
)

INSERT_MEMORY = """
    INSERT INTO {s}.memories (user_id, memory_id, version, entry, memory_type, content, content_hash,
                              category, metadata, importance, confidence, valence, arousal, emotion,
                              created_at, occurred_at, valid_from, valid_until, origin)
    VALUES (:user, :memory_id, :version, :entry, :memory_type, :content, :hash, :category,
            CAST(:metadata AS jsonb), :importance, :confidence, :valence, :arousal, :emotion, :now,
            :occurred_at, :valid_from, :valid_until, CAST(:origin AS jsonb))
"""

INSERT_SOURCES = """
    INSERT INTO {s}.memory_sources (user_id, memory_id, version, message_id)
    SELECT :user, :memory_id, :version, n.id FROM unnest(CAST(:sources AS uuid[])) AS n(id)
"""

MEMORY_BY_ENTRY = """
    SELECT entry, content FROM {s}.memories WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[]))
"""


def statement_hash(new: NewMemory) -> bytes:
    """Return the hash that two memories share if they state the same: of the text and, for what happens, of the moment.

    Where a type's ``occurred_at`` says when the memory was stated, it may be stated more than once.
    """
    happened = new.occurred_at if memory_type_spec(new.memory_type).happens else None
    moment = happened.astimezone(UTC).isoformat() if happened else ""
    return blake2b(f"{statement_key(new.content)}\0{moment}".encode(), digest_size=16).digest()


async def insert_memory(
    database: Database,
    user_id: str,
    new: NewMemory,
    *,
    tokens: Callable[[NewMemory, str | None], Sequence[str]],
) -> Memory:
    """Store a memory, index it and enqueue its embedding.

    Args:
        database: The database to write to.
        user_id: Whose memory.
        new: The memory.
        tokens: Returns the words by which a memory is found, given the user's language.

    Returns:
        The stored memory; the current one where the same statement is current already.
    """
    digest = statement_hash(new)
    async with database.user(user_id) as transaction:
        stamp = await begin_write(transaction, user_id, 1)
        same = await transaction.first(
            CURRENT_DUPLICATE, {"user": user_id, "memory_type": new.memory_type, "hash": digest}
        )
        if same is not None and (same.expires_at is None or same.expires_at > stamp.now):
            return memory_from_row(same)
        if same is not None:
            await expire_memories(transaction, user_id)
        memory_id = str(uuid4())
        await _insert_first_version(transaction, user_id, memory_id, new, digest, stamp)
        entry = IndexEntry(
            entry=stamp.first_entry,
            item=memory_id,
            memory_type=new.memory_type,
            tokens=tokens(new, new.language or stamp.language),
            occurred_at=new.occurred_at,
        )
        await add_entries(transaction, user_id, MEMORY_KIND, [entry], stamp.now)
    return new.stored_as(user_id, memory_id, 1, stamp.now)


async def _insert_first_version(
    transaction: Transaction,
    user_id: str,
    memory_id: str,
    new: NewMemory,
    digest: bytes,
    stamp: WriteStamp,
) -> None:
    await transaction.run(
        INSERT_MEMORY,
        {
            "user": user_id,
            "memory_id": memory_id,
            "version": 1,
            "entry": stamp.first_entry,
            "memory_type": new.memory_type,
            "content": new.content,
            "hash": digest,
            "category": new.category,
            "metadata": json.dumps(dict(new.metadata or {})),
            "importance": new.importance,
            "confidence": new.confidence,
            "valence": new.valence,
            "arousal": new.arousal,
            "emotion": new.emotion,
            "now": stamp.now,
            "occurred_at": new.occurred_at,
            "valid_from": new.valid_from,
            "valid_until": new.valid_until,
            "origin": json.dumps(dict(new.origin or {})),
        },
    )
    if new.sources:
        await transaction.run(
            INSERT_SOURCES,
            {"user": user_id, "memory_id": memory_id, "version": 1, "sources": list(new.sources)},
        )
