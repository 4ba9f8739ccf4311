"""Erases the memories that only one session supports, and restores what these had ended.

The rules that this module decides:

- A version of a memory is erased when all its sources are messages of the session. What a digest made is not: it ends
  with its evidence (`store.memories.evidence`).
- A remaining version that an erased one had replaced holds again; where the erased one has ended, until that end.
- A memory that ended when the session was extracted was ended by it, and holds again, unless another current memory
  says the same by now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.database.sql import fill
from neuromem.store.memories.closing import erase_memories_from_index
from neuromem.store.search_index.entries import reopen_entries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction

MESSAGES_OF_SESSION = "SELECT message_id FROM {s}.messages WHERE user_id = :user AND session_id = :session"

VERSIONS_OF_SESSION_ALONE = fill(
    """
    WITH session_messages AS MATERIALIZED ({session_messages}), erased AS MATERIALIZED (
        SELECT memory_id, version FROM {s}.memory_sources
        WHERE user_id = :user AND memory_id IN (
            SELECT memory_id FROM {s}.memory_sources s JOIN session_messages USING (message_id) WHERE s.user_id = :user
        )
        GROUP BY memory_id, version HAVING bool_and(message_id IN (SELECT message_id FROM session_messages))
    )
    SELECT m.memory_id, m.version, m.entry, m.superseded_at IS NULL AS current
    FROM erased JOIN {s}.memories m ON m.user_id = :user AND m.memory_id = erased.memory_id
         AND m.version = erased.version AND m.origin ->> 'by' IS DISTINCT FROM 'digest'
    """,
    session_messages=MESSAGES_OF_SESSION,
)

# When messages of the session, and no others, were extracted: what ended at such a moment was ended by them.
EXTRACTION_MOMENTS = fill(
    """
    WITH session_messages AS MATERIALIZED ({session_messages})
    SELECT created_at FROM {s}.extractions x
    WHERE user_id = :user AND created_at IN (
        SELECT created_at FROM {s}.extractions JOIN session_messages USING (message_id) WHERE user_id = :user
    )
    GROUP BY created_at HAVING bool_and(message_id IN (SELECT message_id FROM session_messages))
    """,
    session_messages=MESSAGES_OF_SESSION,
)

# A past version that an erased one followed lasts until the erased one ended.
EXTEND_VERSIONS = """
    WITH erased AS MATERIALIZED (
        SELECT m.memory_id, m.version, m.created_at, m.superseded_at
        FROM unnest(CAST(:memories AS uuid[]), CAST(:versions AS int[])) AS n(memory, version)
        JOIN {s}.memories m ON m.user_id = :user AND m.memory_id = n.memory AND m.version = n.version
    ), remaining AS MATERIALIZED (
        SELECT m.memory_id, m.version, m.superseded_at FROM {s}.memories m
        WHERE m.user_id = :user AND m.memory_id IN (SELECT memory_id FROM erased)
          AND (m.memory_id, m.version) NOT IN (SELECT memory_id, version FROM erased)
    ), extended AS (
        SELECT r.memory_id, r.version, max(e.superseded_at) AS ends
        FROM remaining r JOIN erased e ON e.memory_id = r.memory_id AND e.version > r.version
        WHERE NOT EXISTS (SELECT FROM remaining o WHERE o.memory_id = r.memory_id
                          AND o.version > r.version AND o.version < e.version)
        GROUP BY r.memory_id, r.version
        HAVING bool_or(e.created_at = r.superseded_at) AND bool_and(e.superseded_at IS NOT NULL)
    ), extended_versions AS (
        UPDATE {s}.memories m SET superseded_at = extended.ends FROM extended
        WHERE m.user_id = :user AND m.memory_id = extended.memory_id AND m.version = extended.version
        RETURNING m.entry, m.superseded_at
    )
    UPDATE {s}.entries e SET superseded_at = extended_versions.superseded_at FROM extended_versions
    WHERE e.user_id = :user AND e.entry = extended_versions.entry
"""

DELETE_VERSIONS = """
    DELETE FROM {s}.memories m USING unnest(CAST(:memories AS uuid[]), CAST(:versions AS int[])) AS n(memory, version)
    WHERE m.user_id = :user AND m.memory_id = n.memory AND m.version = n.version
"""

COUNT_REMAINING = """
    SELECT count(DISTINCT memory_id) FROM {s}.memories
    WHERE user_id = :user AND memory_id = ANY(CAST(:memories AS uuid[]))
"""

# The newest remaining version is reopened, unless the same statement is current elsewhere by now. It has to be digested
# again: what it was evidence for has ended with it.
REOPEN_VERSIONS = """
    UPDATE {s}.memories m SET superseded_at = NULL, superseded_why = NULL, digested_at = NULL
    FROM (
        SELECT DISTINCT ON (memory_id) memory_id, version, memory_type, content_hash, superseded_at
        FROM {s}.memories
        WHERE user_id = :user AND memory_id IN (
            SELECT unnest(CAST(:memories AS uuid[]))
            UNION SELECT memory_id FROM {s}.memories
            WHERE user_id = :user AND superseded_at = ANY(CAST(:moments AS timestamptz[]))
        )
        ORDER BY memory_id, version DESC
    ) AS last
    WHERE m.user_id = :user AND m.memory_id = last.memory_id AND m.version = last.version
      AND (last.memory_id = ANY(CAST(:memories AS uuid[]))
           OR last.superseded_at = ANY(CAST(:moments AS timestamptz[])))
      AND NOT EXISTS (
          SELECT FROM {s}.memories o WHERE o.user_id = :user AND o.memory_type = last.memory_type
          AND o.content_hash = last.content_hash AND o.superseded_at IS NULL
      )
    RETURNING m.entry
"""

# Versions that stay ended keep the kind of reason, without the words that the model took from the erased messages.
CUT_REASONS = """
    UPDATE {s}.memories SET superseded_why = split_part(superseded_why, ':', 1)
    WHERE user_id = :user AND superseded_at = ANY(CAST(:moments AS timestamptz[]))
      AND superseded_why ~ '^(contradicted|refined):'
"""


async def extraction_moments(transaction: Transaction, user_id: str, session_id: str) -> list[datetime]:
    """Return when messages of a session, and no others, were extracted: what changed then was changed by them."""
    rows = await transaction.all(EXTRACTION_MOMENTS, {"user": user_id, "session": session_id})
    return [row.created_at for row in rows]


async def erase_memories_of_session(
    transaction: Transaction, user_id: str, session_id: str, moments: Sequence[datetime]
) -> int:
    """Erase the versions of memories that only a session supports.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose memories.
        session_id: The session that is being erased.
        moments: Its `extraction_moments`.

    Returns:
        How many memories have no version left.
    """
    erased = await transaction.all(VERSIONS_OF_SESSION_ALONE, {"user": user_id, "session": session_id})
    if not erased and not moments:
        return 0
    await erase_memories_from_index(transaction, user_id, [row.entry for row in erased])
    await transaction.run(CUT_REASONS, {"user": user_id, "moments": moments})
    versions = {
        "user": user_id,
        "memories": [row.memory_id for row in erased],
        "versions": [row.version for row in erased],
    }
    await transaction.run(EXTEND_VERSIONS, versions)
    await transaction.run(DELETE_VERSIONS, versions)
    were_current = [row.memory_id for row in erased if row.current]
    reopened = await transaction.all(
        REOPEN_VERSIONS, {"user": user_id, "memories": were_current, "moments": moments}
    )
    await reopen_entries(transaction, user_id, [row.entry for row in reopened])
    ids = sorted({str(row.memory_id) for row in erased})
    remaining = await transaction.value(COUNT_REMAINING, {"user": user_id, "memories": ids})
    return len(ids) - int(remaining)
