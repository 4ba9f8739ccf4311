"""Writes the search index: entries, their postings, and the jobs that embed them.

An entry is one thing that can be found: a message, a version of a memory, or a passage of a document. It has a number
of its user's own; postings (its words) and vectors refer to it. The functions run in a transaction that began with
`neuromem.store.database.users.begin_write`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from neuromem.domain.text.tokenizer import TOKENIZER
from neuromem.store.search_index.centroids import recompute_centroids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from neuromem.domain.query import Kind
    from neuromem.store.database.database import Transaction

MESSAGE_KIND, MEMORY_KIND, DOCUMENT_KIND = "m", "k", "d"
KIND_LETTERS: dict[Kind, str] = {"message": MESSAGE_KIND, "memory": MEMORY_KIND, "document": DOCUMENT_KIND}
KIND_NAMES: dict[str, Kind] = {letter: name for name, letter in KIND_LETTERS.items()}


ADD_ENTRIES = """
    WITH added AS (
        INSERT INTO {s}.entries (user_id, entry, kind, item, version, memory_type, session_id, position, speaker,
                                 length, tokenizer, created_at, occurred_at)
        SELECT :user, n.entry, CAST(:kind AS text)::"char", n.item, n.version, n.memory_type, n.session_id,
               n.position, n.speaker, n.length, :tokenizer, :now, n.occurred_at
        FROM unnest(CAST(:entry AS int[]), CAST(:item AS uuid[]), CAST(:version AS int[]),
                    CAST(:memory_type AS text[]), CAST(:session_id AS text[]), CAST(:position AS int[]),
                    CAST(:speaker AS text[]), CAST(:length AS int[]), CAST(:occurred_at AS timestamptz[]))
             AS n(entry, item, version, memory_type, session_id, position, speaker, length, occurred_at)
    ), posted AS (
        INSERT INTO {s}.postings (user_id, entry, length, tf, kind, current, term)
        SELECT :user, n.entry, n.length, n.tf, CAST(:kind AS text)::"char", true, n.term
        FROM unnest(CAST(CAST(:p_entry AS text) AS int[]), CAST(CAST(:p_length AS text) AS int[]),
                    CAST(CAST(:p_tf AS text) AS int[]), string_to_array(CAST(:p_term AS text), chr(31)))
             AS n(entry, length, tf, term)
    ), counted AS (
        INSERT INTO {s}.corpora AS c (user_id, kind, entries, tokens)
        VALUES (:user, CAST(:kind AS text)::"char", :count, :tokens)
        ON CONFLICT (user_id, kind) DO UPDATE SET
            entries = c.entries + excluded.entries, tokens = c.tokens + excluded.tokens
    )
    INSERT INTO {s}.jobs (user_id, kind, capability, entry)
    SELECT :user, 'embed', 'space:' || s.space, n.entry
    FROM unnest(CAST(:entry AS int[])) AS n(entry) CROSS JOIN {s}.spaces s
    WHERE s.wanted AND CAST(:embed AS boolean)
"""

# Ends entries at ``:now``; a question about the past still finds them.
CLOSE_ENTRIES = """
    WITH closed AS (
        UPDATE {s}.entries SET superseded_at = :now
        WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[])) AND superseded_at IS NULL
        RETURNING entry, kind, length
    ), posted AS (
        UPDATE {s}.postings p SET current = false FROM closed
        WHERE p.user_id = :user AND p.entry = closed.entry
    ), embedded AS (
        UPDATE {s}.vectors v SET current = false FROM closed
        WHERE v.user_id = :user AND v.entry = closed.entry
    )
    UPDATE {s}.corpora c SET entries = c.entries - gone.entries, tokens = c.tokens - gone.tokens
    FROM (SELECT kind, count(*) AS entries, sum(length) AS tokens FROM closed GROUP BY kind) AS gone
    WHERE c.user_id = :user AND c.kind = gone.kind
"""


# Makes entries that had ended current again.
REOPEN_ENTRIES = """
    WITH opened AS (
        UPDATE {s}.entries SET superseded_at = NULL
        WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[])) AND superseded_at IS NOT NULL
        RETURNING entry, kind, length
    ), posted AS (
        UPDATE {s}.postings p SET current = true FROM opened
        WHERE p.user_id = :user AND p.entry = opened.entry
    ), embedded AS (
        UPDATE {s}.vectors v SET current = true FROM opened
        WHERE v.user_id = :user AND v.entry = opened.entry
    )
    UPDATE {s}.corpora c SET entries = c.entries + back.entries, tokens = c.tokens + back.tokens
    FROM (SELECT kind, count(*) AS entries, sum(length) AS tokens FROM opened GROUP BY kind) AS back
    WHERE c.user_id = :user AND c.kind = back.kind
"""

# Deletes entries from the past too; their vectors go with them, by the foreign key.
ERASE_ENTRIES = """
    WITH gone AS (
        DELETE FROM {s}.entries WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[]))
        RETURNING kind, length, superseded_at
    ), posted AS (
        DELETE FROM {s}.postings WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[]))
    ), waiting AS (
        DELETE FROM {s}.jobs WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[]))
    )
    UPDATE {s}.corpora c SET entries = c.entries - gone.entries, tokens = c.tokens - gone.tokens
    FROM (SELECT kind, count(*) AS entries, sum(length) AS tokens FROM gone WHERE superseded_at IS NULL GROUP BY kind)
         AS gone
    WHERE c.user_id = :user AND c.kind = gone.kind
"""


# The postings and vectors of an entry once more, for the memory's next version, so that neither is computed again.
# Where the old entry has no vector yet, a job embeds the new one.
COPY_ENTRIES = """
    WITH n AS MATERIALIZED (
        SELECT n.old, n.new, m.memory_type, m.version, m.occurred_at
        FROM unnest(CAST(:old AS int[]), CAST(:new AS int[]), CAST(:item AS uuid[]), CAST(:version AS int[]))
             AS n(old, new, item, version)
        JOIN {s}.memories m ON m.user_id = :user AND m.memory_id = n.item AND m.version = n.version
    ), added AS (
        INSERT INTO {s}.entries (user_id, entry, kind, item, version, memory_type, session_id, position, speaker,
                                 length, tokenizer, created_at, occurred_at, extracted)
        SELECT :user, n.new, e.kind, e.item, n.version, n.memory_type, e.session_id, e.position, e.speaker, e.length,
               e.tokenizer, :now, n.occurred_at, e.extracted
        FROM n JOIN {s}.entries e ON e.user_id = :user AND e.entry = n.old
        RETURNING kind, length
    ), posted AS (
        INSERT INTO {s}.postings (user_id, entry, length, tf, kind, current, term)
        SELECT :user, n.new, p.length, p.tf, p.kind, true, p.term
        FROM n JOIN {s}.postings p ON p.user_id = :user AND p.entry = n.old
    ), embedded AS (
        INSERT INTO {s}.vectors (user_id, space, entry, part, kind, current, v)
        SELECT :user, v.space, n.new, v.part, v.kind, true, v.v
        FROM n JOIN {s}.vectors v ON v.user_id = :user AND v.entry = n.old JOIN {s}.spaces s ON s.space = v.space
        WHERE s.wanted
    ), counted AS (
        INSERT INTO {s}.corpora AS c (user_id, kind, entries, tokens)
        SELECT :user, kind, count(*), sum(length) FROM added GROUP BY kind
        ON CONFLICT (user_id, kind) DO UPDATE SET
            entries = c.entries + excluded.entries, tokens = c.tokens + excluded.tokens
    )
    INSERT INTO {s}.jobs (user_id, kind, capability, entry)
    SELECT :user, 'embed', 'space:' || s.space, n.new FROM n CROSS JOIN {s}.spaces s
    WHERE s.wanted AND NOT EXISTS (
        SELECT FROM {s}.vectors v WHERE v.user_id = :user AND v.space = s.space AND v.entry = n.old
    )
"""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One thing that can be found.

    Attributes:
        entry: Its number, from the user's own sequence.
        item: The id of the message, memory or passage.
        tokens: The tokens by which BM25 finds it, each as often as it occurs.
        memory_type: The type of a memory; ``message`` or ``document`` for the others.
        version: The version of a memory; 1 for the others.
        session_id: The session of a message, or of the message that a memory was extracted from.
        position: The place of that message in its session, counted from 0.
        speaker: The name of who said a message, and whom a memory is about.
        occurred_at: When it was said or happened; None when that is not known.
    """

    entry: int
    item: str
    tokens: Sequence[str]
    memory_type: str
    version: int = 1
    session_id: str | None = None
    position: int | None = None
    speaker: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EntryCopy:
    """A version of a memory whose text did not change: its entry copies postings and vectors of an earlier entry.

    Attributes:
        old: The number of the entry that is copied.
        new: The number of the new entry.
        item: The id of the memory.
        version: The memory's new version, stored already.
    """

    old: int
    new: int
    item: str
    version: int


async def add_entries(
    transaction: Transaction,
    user_id: str,
    kind: str,
    entries: Sequence[IndexEntry],
    now: datetime,
    *,
    embed: bool = True,
) -> None:
    """Index entries of one kind and enqueue their embedding.

    Args:
        transaction: A writing transaction of the user.
        user_id: The user.
        kind: `MESSAGE_KIND`, `MEMORY_KIND` or `DOCUMENT_KIND`.
        entries: What is indexed.
        now: The moment of the transaction on the user's clock.
        embed: False when the caller stores the vectors itself.
    """
    postings = [
        (entry.entry, len(entry.tokens), min(tf, 32_767), term)
        for entry in entries
        for term, tf in Counter(entry.tokens).items()
    ]
    await transaction.run(
        ADD_ENTRIES,
        {
            "user": user_id,
            "kind": kind,
            "now": now,
            "tokenizer": TOKENIZER,
            "embed": embed,
            "count": len(entries),
            "tokens": sum(len(entry.tokens) for entry in entries),
            "entry": [entry.entry for entry in entries],
            "item": [entry.item for entry in entries],
            "version": [entry.version for entry in entries],
            "memory_type": [entry.memory_type for entry in entries],
            "session_id": [entry.session_id for entry in entries],
            "position": [entry.position for entry in entries],
            "speaker": [entry.speaker for entry in entries],
            "length": [len(entry.tokens) for entry in entries],
            "occurred_at": [entry.occurred_at for entry in entries],
            # As texts: asyncpg visits each element of an array several times, and there are many.
            "p_entry": _array(posting[0] for posting in postings),
            "p_length": _array(posting[1] for posting in postings),
            "p_tf": _array(posting[2] for posting in postings),
            "p_term": "\x1f".join(posting[3] for posting in postings),  # no token has a control character
        },
    )


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


async def copy_entries(
    transaction: Transaction, user_id: str, copies: Sequence[EntryCopy], now: datetime
) -> None:
    """Index further versions of memories, stored already, with the postings and vectors of earlier ones."""
    await transaction.run(
        COPY_ENTRIES,
        {
            "user": user_id,
            "now": now,
            "old": [one.old for one in copies],
            "new": [one.new for one in copies],
            "item": [one.item for one in copies],
            "version": [one.version for one in copies],
        },
    )


async def close_entries(
    transaction: Transaction, user_id: str, entries: Sequence[int], now: datetime
) -> None:
    """End entries at ``now``; a question about the past still finds them."""
    await transaction.run(CLOSE_ENTRIES, {"user": user_id, "entry": list(entries), "now": now})


async def reopen_entries(transaction: Transaction, user_id: str, entries: Sequence[int]) -> None:
    """Make entries that had ended current again, as when what replaced them is erased."""
    await transaction.run(REOPEN_ENTRIES, {"user": user_id, "entry": list(entries)})


async def erase_entries(transaction: Transaction, user_id: str, entries: Sequence[int]) -> None:
    """Erase entries with their postings, vectors and waiting work; the centroids are recomputed before the commit."""
    await transaction.run(ERASE_ENTRIES, {"user": user_id, "entry": list(entries)})
    if entries:
        transaction.before_commit(partial(recompute_centroids, transaction, user_id))
