"""Erases a session: what was said, and what was derived from it alone, as if it had never been said.

What has other sources stays. Where something was ended by what is erased (a memory by its next version, a home by
the next one, a profile by its next value), it holds again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.store.database.users import begin_write
from neuromem.store.kv.profile_sources import erase_session_from_profile
from neuromem.store.memories.closing import erase_memories_from_index
from neuromem.store.search_index.entries import erase_entries, reopen_entries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

SAID = "SELECT message_id FROM {s}.messages WHERE user_id = :user AND session_id = :session"

# The versions of memories all of whose sources are in the session; what a digest made goes with its evidence.
MEMORIES = f"""
    WITH said AS MATERIALIZED ({SAID}), doomed AS MATERIALIZED (
        SELECT memory_id, version FROM {{s}}.memory_sources
        WHERE user_id = :user AND memory_id IN (
            SELECT memory_id FROM {{s}}.memory_sources s JOIN said USING (message_id) WHERE s.user_id = :user
        )
        GROUP BY memory_id, version HAVING bool_and(message_id IN (SELECT message_id FROM said))
    )
    SELECT m.memory_id, m.version, m.entry, m.superseded_at IS NULL AS current
    FROM doomed JOIN {{s}}.memories m ON m.user_id = :user AND m.memory_id = doomed.memory_id
         AND m.version = doomed.version AND m.origin ->> 'by' IS DISTINCT FROM 'digest'
"""

# A version in the past that was followed by what is erased lasted until what follows that.
PROLONG = """
    WITH gone AS MATERIALIZED (
        SELECT m.memory_id, m.version, m.created_at, m.superseded_at
        FROM unnest(CAST(:memories AS uuid[]), CAST(:versions AS int[])) AS n(memory, version)
        JOIN {s}.memories m ON m.user_id = :user AND m.memory_id = n.memory AND m.version = n.version
    ), left_over AS MATERIALIZED (
        SELECT m.memory_id, m.version, m.superseded_at FROM {s}.memories m
        WHERE m.user_id = :user AND m.memory_id IN (SELECT memory_id FROM gone)
          AND (m.memory_id, m.version) NOT IN (SELECT memory_id, version FROM gone)
    ), longer AS (
        SELECT l.memory_id, l.version, max(g.superseded_at) AS ends
        FROM left_over l JOIN gone g ON g.memory_id = l.memory_id AND g.version > l.version
        WHERE NOT EXISTS (SELECT FROM left_over o WHERE o.memory_id = l.memory_id
                          AND o.version > l.version AND o.version < g.version)
        GROUP BY l.memory_id, l.version
        HAVING bool_or(g.created_at = l.superseded_at) AND bool_and(g.superseded_at IS NOT NULL)
    ), told AS (
        UPDATE {s}.memories m SET superseded_at = longer.ends FROM longer
        WHERE m.user_id = :user AND m.memory_id = longer.memory_id AND m.version = longer.version
        RETURNING m.entry, m.superseded_at
    )
    UPDATE {s}.entries e SET superseded_at = told.superseded_at FROM told
    WHERE e.user_id = :user AND e.entry = told.entry
"""

DELETE_MEMORIES = """
    DELETE FROM {s}.memories m USING unnest(CAST(:memories AS uuid[]), CAST(:versions AS int[])) AS n(memory, version)
    WHERE m.user_id = :user AND m.memory_id = n.memory AND m.version = n.version
"""

LEFT = """
    SELECT count(DISTINCT memory_id) FROM {s}.memories
    WHERE user_id = :user AND memory_id = ANY(CAST(:memories AS uuid[]))
"""

# When the session's messages were extracted, they alone: what ended at such a moment was ended by them.
MOMENTS = f"""
    WITH said AS MATERIALIZED ({SAID})
    SELECT created_at FROM {{s}}.extractions x
    WHERE user_id = :user AND created_at IN (
        SELECT created_at FROM {{s}}.extractions JOIN said USING (message_id) WHERE user_id = :user
    )
    GROUP BY created_at HAVING bool_and(message_id IN (SELECT message_id FROM said))
"""

# The newest version that is left, unless the same statement is current elsewhere by now. What it was evidence for
# has ended with it: the next digest looks at it again.
REOPEN_MEMORIES = """
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

# What stays ended says how, not in which words the model put it: those came from what is erased.
FORGET_REASONS = """
    UPDATE {s}.memories SET superseded_why = split_part(superseded_why, ':', 1)
    WHERE user_id = :user AND superseded_at = ANY(CAST(:moments AS timestamptz[]))
      AND superseded_why ~ '^(contradicted|refined):'
"""

# An edge whose every source is in the session; what it had ended holds again.
EDGES = f"""
    WITH said AS MATERIALIZED ({SAID})
    SELECT edge_id FROM {{s}}.edge_sources
    WHERE user_id = :user AND edge_id IN (
        SELECT edge_id FROM {{s}}.edge_sources s JOIN said USING (message_id) WHERE s.user_id = :user
    )
    GROUP BY edge_id HAVING bool_and(message_id IN (SELECT message_id FROM said))
"""

DELETE_EDGES = """
    WITH sources AS (
        DELETE FROM {s}.edge_sources WHERE user_id = :user AND edge_id = ANY(CAST(:edges AS uuid[]))
    ), gone AS (
        DELETE FROM {s}.edges WHERE user_id = :user AND edge_id = ANY(CAST(:edges AS uuid[]))
        RETURNING source, target
    )
    SELECT DISTINCT node FROM (SELECT source AS node FROM gone UNION ALL SELECT target FROM gone) AS ends
"""

UNEND_EDGES = """
    DELETE FROM {s}.edges
    WHERE user_id = :user AND closed_by = ANY(CAST(:edges AS uuid[])) AND superseded_at IS NULL
    RETURNING edge_id
"""

REOPEN_EDGES = """
    UPDATE {s}.edges e SET superseded_at = NULL
    FROM (
        SELECT edge_id, max(version) AS version FROM {s}.edges
        WHERE user_id = :user AND edge_id = ANY(CAST(:edges AS uuid[])) GROUP BY edge_id
    ) AS last
    WHERE e.user_id = :user AND e.edge_id = last.edge_id AND e.version = last.version
"""

# Nodes that extraction made and that nothing is related to any more, in the past neither.
DELETE_NODES = """
    WITH gone AS (
        DELETE FROM {s}.nodes n
        WHERE n.user_id = :user AND n.node = ANY(CAST(:nodes AS int[]))
          AND NOT EXISTS (
              SELECT FROM {s}.nodes o WHERE o.user_id = :user AND o.node = n.node AND o.origin ->> 'by' = 'user'
          )
          AND NOT EXISTS (
              SELECT FROM {s}.edges e WHERE e.user_id = :user AND e.source = n.node
              UNION ALL
              SELECT FROM {s}.edges e WHERE e.user_id = :user AND e.target = n.node
          )
        RETURNING node
    ), names AS (
        DELETE FROM {s}.node_names WHERE user_id = :user AND node IN (SELECT node FROM gone)
    )
    SELECT count(DISTINCT node) FROM gone
"""

ENTRIES = "SELECT entry FROM {s}.entries WHERE user_id = :user AND session_id = :session AND kind = 'm'"

DELETE_MESSAGES = """
    WITH gone AS (
        DELETE FROM {s}.messages WHERE user_id = :user AND session_id = :session RETURNING name
    ), named AS (
        UPDATE {s}.speakers s SET messages = s.messages - n.messages
        FROM (SELECT name, count(*) AS messages FROM gone GROUP BY name) AS n
        WHERE s.user_id = :user AND s.name = n.name
    )
    SELECT count(*) FROM gone
"""

DELETE_SESSION = "DELETE FROM {s}.sessions WHERE user_id = :user AND session_id = :session"
DELETE_SPEAKERS = "DELETE FROM {s}.speakers WHERE user_id = :user AND messages <= 0"


async def erase_session(database: Database, user_id: str, session_id: str) -> dict[str, int]:
    """Erase a session and return how much is gone, by kind; zeros when there was no such session."""
    place = {"user": user_id, "session": session_id}
    async with database.user(user_id) as transaction:
        await begin_write(transaction, user_id)
        moments = [row.created_at for row in await transaction.all(MOMENTS, place)]
        memories = await _memories(transaction, place, moments)
        edges, nodes = await _graph(transaction, place)
        unsaid = await erase_session_from_profile(transaction, user_id, session_id, moments)
        entries = await transaction.all(ENTRIES, place)
        await erase_entries(transaction, user_id, [row.entry for row in entries])
        messages = await transaction.value(DELETE_MESSAGES, place)
        await transaction.run(DELETE_SPEAKERS, place)
        sessions = await transaction.run(DELETE_SESSION, place)
    return {
        "sessions": sessions,
        "messages": int(messages),
        "memories": memories,
        "edges": edges,
        "nodes": nodes,
        "profile": unsaid,
    }


async def _memories(transaction: Transaction, place: dict[str, Any], moments: Sequence[datetime]) -> int:
    doomed = await transaction.all(MEMORIES, place)
    if not doomed and not moments:
        return 0
    user_id = place["user"]
    ids = sorted({str(row.memory_id) for row in doomed})
    await erase_memories_from_index(transaction, user_id, [row.entry for row in doomed])
    await transaction.run(FORGET_REASONS, {"user": user_id, "moments": moments})
    gone = {
        "user": user_id,
        "memories": [row.memory_id for row in doomed],
        "versions": [row.version for row in doomed],
    }
    await transaction.run(PROLONG, gone)
    await transaction.run(DELETE_MEMORIES, gone)
    was_current = [row.memory_id for row in doomed if row.current]
    reopened = await transaction.all(
        REOPEN_MEMORIES, {"user": user_id, "memories": was_current, "moments": moments}
    )
    await reopen_entries(transaction, user_id, [row.entry for row in reopened])
    left = await transaction.value(LEFT, {"user": user_id, "memories": ids})
    return len(ids) - int(left)


async def _graph(transaction: Transaction, place: dict[str, Any]) -> tuple[int, int]:
    edges = _ids(await transaction.all(EDGES, place))
    if not edges:
        return 0, 0
    found = {"user": place["user"], "edges": edges}
    nodes = [row.node for row in await transaction.all(DELETE_EDGES, found)]
    ended = _ids(await transaction.all(UNEND_EDGES, found))
    await transaction.run(REOPEN_EDGES, {"user": place["user"], "edges": ended})
    gone = await transaction.value(DELETE_NODES, {"user": place["user"], "nodes": nodes})
    return len(edges), int(gone)


def _ids(rows: Sequence[Row]) -> list[str]:
    return [str(row.edge_id) for row in rows]
