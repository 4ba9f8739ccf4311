"""Stores what a batch of statements changes: versions that are added, superseded or reinforced (`store_learned`).

Which of these a statement is, extraction and digest decide in view of `version_chains`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuromem.domain.memories import Version
from neuromem.store.memories.closing import close_memories
from neuromem.store.memories.versions import expire_memories
from neuromem.store.search_index.entries import MEMORY_KIND, IndexEntry, add_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuromem.domain.memories import Learned, NewMemory
    from neuromem.store.database.database import Transaction
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
