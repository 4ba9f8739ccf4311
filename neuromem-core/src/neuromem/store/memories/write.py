"""Stores memories: one that a caller adds (`insert_memory`), or what a batch of statements changes (`store_learned`).

The rule that this module decides: two memories say the same when their `statement_hash` is the same, and a statement
is current at most once.
"""

from __future__ import annotations

import json
from datetime import UTC
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from neuromem.domain.memories import Memory, Version
from neuromem.domain.memory_types import memory_type_spec
from neuromem.domain.text.same_statement import statement_key
from neuromem.store.database.sql import fill
from neuromem.store.database.users import begin_write
from neuromem.store.memories.closing import close_memories
from neuromem.store.memories.memory_rows import MEMORY_COLUMNS, memory_from_row
from neuromem.store.memories.versions import expire_memories
from neuromem.store.search_index.entries import MEMORY_KIND, IndexEntry, add_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from neuromem.domain.memories import Learned, NewMemory
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.users import WriteStamp

COPIED_FIELDS = (
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
"""The fields of a `NewMemory` that are stored as they are."""

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

# Every version of the memories that say the same, have the same unique key, or are named.
VERSION_CHAINS = """
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

# Counting the closed rows makes PostgreSQL close them before it inserts: a statement may be current only once.
WRITE_LEARNED = """
    WITH closed AS (
        UPDATE {s}.memories m SET superseded_at = :now, superseded_why = n.why
        FROM unnest(CAST(:closed AS uuid[]), CAST(:closed_version AS int[]), CAST(:closed_why AS text[]))
             AS n(memory_id, version, why)
        WHERE m.user_id = :user AND m.memory_id = n.memory_id AND m.version = n.version
        RETURNING m.memory_id
    ), reinforced AS (
        UPDATE {s}.memories m SET reinforced = m.reinforced + 1, reinforced_at = :now
        FROM unnest(CAST(:reinforced AS uuid[]), CAST(:reinforced_version AS int[])) AS n(memory_id, version)
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
    return _first_version(user_id, memory_id, new, stamp.now)


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


def _first_version(user_id: str, memory_id: str, new: NewMemory, now: datetime) -> Memory:
    return Memory(
        id=memory_id,
        user_id=user_id,
        version=1,
        memory_type=new.memory_type,
        content=new.content,
        metadata=dict(new.metadata or {}),
        created_at=now,
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
    """Return every version of the memories that new statements may repeat, revive or supersede.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose memories.
        hashes: `statement_hash` of the new statements.
        unique_keys: Keys of which one memory may be current.
        targets: Ids of memories that the new statements name.
    """
    asked = {
        "user": user_id,
        "hashes": list(hashes),
        "unique_keys": list(unique_keys),
        "targets": list(targets),
    }
    rows = await transaction.all(VERSION_CHAINS, asked)
    if any(row.expired for row in rows):  # nobody has ended them since they expired
        await expire_memories(transaction, user_id)
        rows = await transaction.all(VERSION_CHAINS, asked)
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
    stamp: WriteStamp,
    *,
    tokens: Callable[[NewMemory, str | None], Sequence[str]],
) -> None:
    """Store what a batch of statements changes, and bring the search index up to date.

    Args:
        transaction: A transaction that began with `begin_write` and a number for each added version.
        user_id: Whose memories.
        learned: Versions to add, to supersede and to reinforce.
        stamp: What `begin_write` returned.
        tokens: Returns the words by which a memory is found, given the user's language.
    """
    if not learned.added and not learned.reinforced and not learned.superseded:
        return
    await transaction.run(WRITE_LEARNED, _learned_parameters(user_id, learned, stamp))
    current = [
        IndexEntry(
            entry=stamp.first_entry + i,
            item=one.memory_id,
            memory_type=one.new.memory_type,
            version=one.version,
            session_id=one.new.place and one.new.place[0],
            position=one.new.place and one.new.place[1],
            tokens=tokens(one.new, one.new.language or stamp.language),
            occurred_at=one.new.occurred_at,
        )
        for i, one in enumerate(learned.added)
        if one.ended is None
    ]
    if current:
        await add_entries(transaction, user_id, MEMORY_KIND, current, stamp.now)
    if learned.superseded:
        await close_memories(
            transaction, user_id, [version.entry for version, _ in learned.superseded], stamp.now
        )


def _learned_parameters(user_id: str, learned: Learned, stamp: WriteStamp) -> dict[str, Any]:
    """Return the parameters of `WRITE_LEARNED`."""
    added = list(learned.added)
    news = [one.new for one in added]
    sources = [(one.memory_id, one.version, source) for one in added for source in one.new.sources]
    sources += [(*key, source) for key, again in learned.reinforced.items() for source in again]
    return {
        "user": user_id,
        "now": stamp.now,
        "closed": [version.memory_id for version, _ in learned.superseded],
        "closed_version": [version.version for version, _ in learned.superseded],
        "closed_why": [why for _, why in learned.superseded],
        "reinforced": [memory_id for memory_id, _ in learned.reinforced],
        "reinforced_version": [version for _, version in learned.reinforced],
        "memory_id": [one.memory_id for one in added],
        "version": [one.version for one in added],
        "entry": [stamp.first_entry + i for i in range(len(added))],
        "hash": [one.digest for one in added],
        "ended": [one.ended for one in added],
        **{name: [getattr(new, name) for new in news] for name in COPIED_FIELDS},
        "metadata": [json.dumps(dict(new.metadata or {})) for new in news],
        "origin": [json.dumps(dict(new.origin or {})) for new in news],
        "entities": [json.dumps(list(new.entities)) for new in news],
        "s_memory": [source[0] for source in sources],
        "s_version": [source[1] for source in sources],
        "s_message": [source[2] for source in sources],
    }
