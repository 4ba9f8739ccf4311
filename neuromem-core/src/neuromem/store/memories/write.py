"""Memories: chains of versions."""

from __future__ import annotations

import json
from datetime import UTC
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.memories import Memory, Version
from neuromem.domain.memory_types import memory_type_spec
from neuromem.domain.text.same_statement import statement_key
from neuromem.store.database.users import WriteStamp, begin_write
from neuromem.store.memories.closing import close_memories
from neuromem.store.memories.versions import expire_memories
from neuromem.store.search_index.entries import MEMORY_KIND, IndexEntry, add_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuromem.domain.memories import Learned, NewMemory
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

MEMORY_COLUMNS = """
    m.memory_id, m.user_id, m.version, m.memory_type, m.content, m.metadata, m.created_at, m.superseded_at,
    m.occurred_at, m.valid_from, m.valid_until, m.importance, m.confidence, m.valence, m.arousal, m.emotion,
    m.category, m.origin, m.subject, m.entities, m.pinned, m.expires_at,
    ARRAY(SELECT s.message_id FROM {s}.memory_sources s WHERE s.user_id = m.user_id
          AND s.memory_id = m.memory_id AND s.version = m.version ORDER BY s.message_id) AS sources
"""

# The fields of a new memory that are stored as they are.
PLAIN = (
    "memory_type",
    "content",
    "category",
    "importance",
    "confidence",
    "valence",
    "arousal",
    "emotion",
    "occurred_at",
    "valid_from",
    "valid_until",
    "subject",
    "unique_key",
)

SAME = f"""
    SELECT {MEMORY_COLUMNS} FROM {{s}}.memories m
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

MEMORY_BY_ENTRY = """
    SELECT entry, content FROM {s}.memories WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[]))
"""


# Every version of the memories that say the same, have the same unique key, or were pointed at.
CHAINS = """
    WITH chains AS (
        SELECT memory_id FROM {s}.memories WHERE user_id = :user AND content_hash = ANY(CAST(:hashes AS bytea[]))
        UNION SELECT memory_id FROM {s}.memories
        WHERE user_id = :user AND unique_key = ANY(CAST(:unique_keys AS text[])) AND superseded_at IS NULL
        UNION SELECT n.id FROM unnest(CAST(:targets AS uuid[])) AS n(id)
    )
    SELECT m.memory_id, m.version, m.memory_type, m.entry, m.content_hash, m.unique_key,
           m.superseded_at IS NULL AND coalesce(m.expires_at <= now(), false) AS expired,
           CASE WHEN m.superseded_at IS NOT NULL THEN coalesce(m.superseded_why, 'superseded') END AS why, m.pinned
    FROM chains c JOIN {s}.memories m ON m.user_id = :user AND m.memory_id = c.memory_id
    ORDER BY m.memory_id, m.version
"""

# Counting the closed rows makes their closing come first: one statement may be current only once.
LEARN = """
    WITH closed AS (
        UPDATE {s}.memories m SET superseded_at = :now, superseded_why = n.why
        FROM unnest(CAST(:closed AS uuid[]), CAST(:closed_version AS int[]), CAST(:closed_why AS text[]))
             AS n(memory_id, version, why)
        WHERE m.user_id = :user AND m.memory_id = n.memory_id AND m.version = n.version
        RETURNING m.memory_id
    ), strengthened AS (
        UPDATE {s}.memories m SET reinforced = m.reinforced + 1, reinforced_at = :now
        FROM unnest(CAST(:again AS uuid[]), CAST(:again_version AS int[])) AS n(memory_id, version)
        WHERE m.user_id = :user AND m.memory_id = n.memory_id AND m.version = n.version
    ), added AS (
        INSERT INTO {s}.memories (user_id, memory_id, version, entry, memory_type, content, content_hash, category,
                                  metadata, importance, confidence, valence, arousal, emotion, created_at,
                                  superseded_at, superseded_why, occurred_at, valid_from, valid_until, origin,
                                  subject, unique_key, entities)
        SELECT :user, n.memory_id, n.version, n.entry, n.memory_type, n.content, n.hash, n.category,
               n.metadata::jsonb, n.importance, n.confidence, n.valence, n.arousal, n.emotion, :now,
               CASE WHEN n.ended IS NOT NULL THEN CAST(:now AS timestamptz) END, n.ended, n.occurred_at, n.valid_from,
               n.valid_until, n.origin::jsonb, n.subject, n.unique_key,
               ARRAY(SELECT jsonb_array_elements_text(n.entities::jsonb))
        FROM unnest(CAST(:memory_id AS uuid[]), CAST(:version AS int[]), CAST(:entry AS int[]),
                    CAST(:memory_type AS text[]), CAST(:content AS text[]), CAST(:hash AS bytea[]),
                    CAST(:category AS text[]), CAST(:metadata AS text[]), CAST(:importance AS float8[]),
                    CAST(:confidence AS float8[]), CAST(:valence AS float8[]), CAST(:arousal AS float8[]),
                    CAST(:emotion AS text[]), CAST(:occurred_at AS timestamptz[]),
                    CAST(:valid_from AS timestamptz[]), CAST(:valid_until AS timestamptz[]),
                    CAST(:origin AS text[]), CAST(:subject AS text[]), CAST(:unique_key AS text[]),
                    CAST(:entities AS text[]), CAST(:ended AS text[]))
             AS n(memory_id, version, entry, memory_type, content, hash, category, metadata, importance, confidence,
                  valence, arousal, emotion, occurred_at, valid_from, valid_until, origin, subject, unique_key,
                  entities, ended)
        WHERE (SELECT count(*) FROM closed) >= 0
    )
    INSERT INTO {s}.memory_sources (user_id, memory_id, version, message_id, created_at)
    SELECT :user, n.memory_id, n.version, n.message_id, :now
    FROM unnest(CAST(:s_memory AS uuid[]), CAST(:s_version AS int[]), CAST(:s_message AS uuid[]))
         AS n(memory_id, version, message_id)
    ON CONFLICT DO NOTHING
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
    """Store a memory, index it and enqueue its embedding; a statement that is already current is returned."""
    digest = statement_hash(new)
    async with database.user(user_id) as transaction:
        moment = await begin_write(transaction, user_id, 1)
        same = await transaction.first(
            SAME, {"user": user_id, "memory_type": new.memory_type, "hash": digest}
        )
        if same is not None and (same.expires_at is None or same.expires_at > moment.now):
            return memory_from_row(same)
        if same is not None:
            await expire_memories(transaction, user_id)
        memory_id = str(uuid4())
        await transaction.run(
            INSERT,
            {
                "user": user_id,
                "memory_id": memory_id,
                "version": 1,
                "entry": moment.first_entry,
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
                "now": moment.now,
                "occurred_at": new.occurred_at,
                "valid_from": new.valid_from,
                "valid_until": new.valid_until,
                "origin": json.dumps(dict(new.origin or {})),
            },
        )
        if new.sources:
            await transaction.run(
                SOURCES,
                {"user": user_id, "memory_id": memory_id, "version": 1, "sources": list(new.sources)},
            )
        entry = IndexEntry(
            entry=moment.first_entry,
            item=memory_id,
            memory_type=new.memory_type,
            tokens=tokens(new, new.language or moment.language),
            occurred_at=new.occurred_at,
        )
        await add_entries(transaction, user_id, MEMORY_KIND, [entry], moment.now)
    return Memory(
        id=memory_id,
        user_id=user_id,
        version=1,
        memory_type=new.memory_type,
        content=new.content,
        metadata=dict(new.metadata or {}),
        created_at=moment.now,
        superseded_at=None,
        occurred_at=new.occurred_at,
        valid_from=new.valid_from,
        valid_until=new.valid_until,
        importance=new.importance,
        confidence=new.confidence,
        valence=new.valence,
        arousal=new.arousal,
        emotion=new.emotion,
        category=new.category,
        origin=dict(new.origin or {}),
        sources=tuple(sorted(new.sources)),
    )


async def version_chains(
    transaction: Transaction,
    user_id: str,
    *,
    hashes: Sequence[bytes],
    unique_keys: Sequence[str],
    targets: Sequence[str],
) -> list[Version]:
    """Return every version of the memories that new statements may repeat, revive or supersede."""
    asked = {
        "user": user_id,
        "hashes": list(hashes),
        "unique_keys": list(unique_keys),
        "targets": list(targets),
    }
    rows = await transaction.all(CHAINS, asked)
    if any(row.expired for row in rows):  # it stopped holding at its moment, and nobody took notice yet
        await expire_memories(transaction, user_id)
        rows = await transaction.all(CHAINS, asked)
    return [
        Version(
            str(r["memory_id"]),
            r["version"],
            r["memory_type"],
            r["entry"],
            bytes(r["content_hash"]),
            r["unique_key"],
            r["why"],
            r["pinned"],
        )
        for r in rows
    ]


async def store_learned(
    transaction: Transaction,
    user_id: str,
    learned: Learned,
    moment: WriteStamp,
    *,
    tokens: Callable[[NewMemory, str | None], Sequence[str]],
) -> None:
    """Store what a batch of statements changes, index what is new and take out of the index what is superseded.

    The transaction began with `index.begin`, which kept a number for each added version.
    """
    added = list(learned.added)
    if not added and not learned.reinforced and not learned.superseded:
        return
    news = [one.new for one in added]
    entries = [moment.first_entry + i for i in range(len(added))]
    sources = [(one.memory_id, one.version, source) for one in added for source in one.new.sources]
    sources += [(*key, source) for key, again in learned.reinforced.items() for source in again]
    await transaction.run(
        LEARN,
        {
            "user": user_id,
            "now": moment.now,
            "closed": [version.memory_id for version, _ in learned.superseded],
            "closed_version": [version.version for version, _ in learned.superseded],
            "closed_why": [why for _, why in learned.superseded],
            "again": [memory_id for memory_id, _ in learned.reinforced],
            "again_version": [version for _, version in learned.reinforced],
            "memory_id": [one.memory_id for one in added],
            "version": [one.version for one in added],
            "entry": entries,
            "hash": [one.digest for one in added],
            "ended": [one.ended for one in added],
            **{name: [getattr(new, name) for new in news] for name in PLAIN},
            "metadata": [json.dumps(dict(new.metadata or {})) for new in news],
            "origin": [json.dumps(dict(new.origin or {})) for new in news],
            "entities": [json.dumps(list(new.entities)) for new in news],
            "s_memory": [source[0] for source in sources],
            "s_version": [source[1] for source in sources],
            "s_message": [source[2] for source in sources],
        },
    )
    fresh = [
        IndexEntry(
            entry=entry,
            item=one.memory_id,
            memory_type=one.new.memory_type,
            version=one.version,
            session_id=one.new.place and one.new.place[0],
            position=one.new.place and one.new.place[1],
            tokens=tokens(one.new, one.new.language or moment.language),
            occurred_at=one.new.occurred_at,
        )
        for entry, one in zip(entries, added, strict=True)
        if one.ended is None
    ]
    if fresh:
        await add_entries(transaction, user_id, MEMORY_KIND, fresh, moment.now)
    if learned.superseded:
        await close_memories(
            transaction, user_id, [version.entry for version, _ in learned.superseded], moment.now
        )


def memory_from_row(row: Row) -> Memory:
    """Return the memory in a row of `COLUMNS`."""
    return Memory(
        id=str(row["memory_id"]),
        user_id=row["user_id"],
        version=row["version"],
        memory_type=row["memory_type"],
        content=row["content"],
        metadata=row["metadata"],
        created_at=row["created_at"],
        superseded_at=row["superseded_at"],
        occurred_at=row["occurred_at"],
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        importance=row["importance"],
        confidence=row["confidence"],
        valence=row["valence"],
        arousal=row["arousal"],
        emotion=row["emotion"],
        category=row["category"],
        origin=row["origin"],
        sources=tuple(str(source) for source in row["sources"]),
        subject=row["subject"],
        entities=tuple(row["entities"]),
        pinned=row["pinned"],
        expires_at=row["expires_at"],
    )
