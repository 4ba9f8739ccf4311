"""Memories: chains of versions."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from neuromem.domain.memories import Memory
from neuromem.store import index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Row

    from neuromem.domain.memories import NewMemory
    from neuromem.store.engine import Database

COLUMNS = """
    m.memory_id, m.user_id, m.version, m.memory_type, m.content, m.metadata, m.created_at, m.superseded_at,
    m.occurred_at, m.valid_from, m.valid_until, m.importance, m.confidence, m.valence, m.arousal, m.emotion,
    m.category, m.origin,
    ARRAY(SELECT s.message_id FROM {s}.memory_sources s WHERE s.user_id = m.user_id
          AND s.memory_id = m.memory_id AND s.version = m.version ORDER BY s.message_id) AS sources
"""

SAME = f"""
    SELECT {COLUMNS} FROM {{s}}.memories m
    WHERE m.user_id = :user AND m.memory_type = :memory_type AND m.content_hash = :hash
      AND m.superseded_at IS NULL
"""

INSERT = """
    INSERT INTO {s}.memories (user_id, memory_id, version, entry, memory_type, content, content_hash,
                              category, metadata, importance, confidence, valence, arousal, emotion,
                              created_at, occurred_at, valid_from, valid_until, origin)
    VALUES (:user, :memory_id, :version, :entry, :memory_type, :content, :hash, :category,
            CAST(:metadata AS jsonb), :importance, :confidence, :valence, :arousal, :emotion, :now,
            :occurred_at, :valid_from, :valid_until, CAST(:origin AS jsonb))
"""

SOURCES = """
    INSERT INTO {s}.memory_sources (user_id, memory_id, version, message_id)
    SELECT :user, :memory_id, :version, n.id FROM unnest(CAST(:sources AS uuid[])) AS n(id)
"""

BY_ENTRY = """
    SELECT entry, content, NULL AS name, occurred_at FROM {s}.memories
    WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[]))
"""


def statement_hash(new: NewMemory) -> bytes:
    """Return what two memories share that say the same: the normalized text and, for events, the moment."""
    text = " ".join(unicodedata.normalize("NFKC", new.content).casefold().split()).rstrip(".!。！ ")
    moment = new.occurred_at.astimezone(UTC).isoformat() if new.occurred_at is not None else ""
    return blake2b(f"{text}\0{moment}".encode(), digest_size=16).digest()


async def add(
    database: Database,
    user_id: str,
    new: NewMemory,
    *,
    tokens: Callable[[NewMemory, str | None], Sequence[str]],
    needs: str,
) -> Memory:
    """Store a memory, index it and enqueue its embedding; a statement that is already current is returned."""
    digest = statement_hash(new)
    async with database.user(user_id) as transaction:
        moment = await index.begin(transaction, user_id, 1)
        same = await transaction.first(
            SAME, {"user": user_id, "memory_type": new.memory_type, "hash": digest}
        )
        if same is not None:
            return memory_of(same)
        memory_id = str(uuid4())
        await transaction.run(
            INSERT,
            {
                "user": user_id, "memory_id": memory_id, "version": 1, "entry": moment.first_entry,
                "memory_type": new.memory_type, "content": new.content, "hash": digest,
                "category": new.category, "metadata": json.dumps(dict(new.metadata or {})),
                "importance": new.importance, "confidence": new.confidence, "valence": new.valence,
                "arousal": new.arousal, "emotion": new.emotion, "now": moment.now,
                "occurred_at": new.occurred_at, "valid_from": new.valid_from, "valid_until": new.valid_until,
                "origin": json.dumps(dict(new.origin or {})),
            },
        )  # fmt: skip
        if new.sources:
            await transaction.run(
                SOURCES,
                {"user": user_id, "memory_id": memory_id, "version": 1, "sources": list(new.sources)},
            )
        entry = index.Entry(
            entry=moment.first_entry, item=memory_id, memory_type=new.memory_type,
            tokens=tokens(new, new.language or moment.language), occurred_at=new.occurred_at,
        )  # fmt: skip
        await index.add(transaction, user_id, index.MEMORY, [entry], moment.now, needs)
    return Memory(
        id=memory_id, user_id=user_id, version=1, memory_type=new.memory_type, content=new.content,
        metadata=dict(new.metadata or {}), created_at=moment.now, superseded_at=None,
        occurred_at=new.occurred_at, valid_from=new.valid_from, valid_until=new.valid_until,
        importance=new.importance, confidence=new.confidence, valence=new.valence, arousal=new.arousal,
        emotion=new.emotion, category=new.category, origin=dict(new.origin or {}), sources=tuple(sorted(new.sources)),
    )  # fmt: skip


def memory_of(row: Row[Any]) -> Memory:
    """Return the memory in a row of `COLUMNS`."""
    return Memory(
        id=str(row.memory_id), user_id=row.user_id, version=row.version, memory_type=row.memory_type,
        content=row.content, metadata=row.metadata, created_at=row.created_at,
        superseded_at=row.superseded_at, occurred_at=row.occurred_at, valid_from=row.valid_from,
        valid_until=row.valid_until,
        importance=row.importance, confidence=row.confidence, valence=row.valence, arousal=row.arousal,
        emotion=row.emotion, category=row.category, origin=row.origin,
        sources=tuple(str(source) for source in row.sources),
    )  # fmt: skip
