"""Erases the relations that only one session supports, and restores the relations that these had ended.

The rules that this module decides: a relation is erased, from the past too, when all its sources are messages of the
session; a relation that an erased one had ended holds again; a node goes with its last relation, unless the user
created it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.conversations.erase_memories import MESSAGES_OF_SESSION
from neuromem.store.database.sql import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

EDGES_OF_SESSION_ALONE = fill(
    """
    WITH session_messages AS MATERIALIZED ({session_messages})
    SELECT edge_id FROM {s}.edge_sources
    WHERE user_id = :user AND edge_id IN (
        SELECT edge_id FROM {s}.edge_sources s JOIN session_messages USING (message_id) WHERE s.user_id = :user
    )
    GROUP BY edge_id HAVING bool_and(message_id IN (SELECT message_id FROM session_messages))
    """,
    session_messages=MESSAGES_OF_SESSION,
)

DELETE_EDGES = """
    WITH deleted_sources AS (
        DELETE FROM {s}.edge_sources WHERE user_id = :user AND edge_id = ANY(CAST(:edges AS uuid[]))
    ), deleted_edges AS (
        DELETE FROM {s}.edges WHERE user_id = :user AND edge_id = ANY(CAST(:edges AS uuid[]))
        RETURNING source, target
    )
    SELECT DISTINCT node
    FROM (SELECT source AS node FROM deleted_edges UNION ALL SELECT target FROM deleted_edges) AS ends
"""

# Current versions of other relations that an erased relation ended: the version before them does not say until when.
DELETE_ENDED_VERSIONS = """
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

# Nodes that the user did not create, without any relation, current or past.
DELETE_NODES = """
    WITH deleted_nodes AS (
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
    ), deleted_names AS (
        DELETE FROM {s}.node_names WHERE user_id = :user AND node IN (SELECT node FROM deleted_nodes)
    )
    SELECT count(DISTINCT node) FROM deleted_nodes
"""


async def erase_relations_of_session(
    transaction: Transaction, user_id: str, session_id: str
) -> tuple[int, int]:
    """Erase the relations that only a session supports, and the nodes that are left without any.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose graph.
        session_id: The session that is being erased.

    Returns:
        How many edges and how many nodes are erased.
    """
    edges = _edge_ids(await transaction.all(EDGES_OF_SESSION_ALONE, {"user": user_id, "session": session_id}))
    if not edges:
        return 0, 0
    erased = {"user": user_id, "edges": edges}
    nodes = [row.node for row in await transaction.all(DELETE_EDGES, erased)]
    reopened = _edge_ids(await transaction.all(DELETE_ENDED_VERSIONS, erased))
    await transaction.run(REOPEN_EDGES, {"user": user_id, "edges": reopened})
    deleted_nodes = await transaction.value(DELETE_NODES, {"user": user_id, "nodes": nodes})
    return len(edges), int(deleted_nodes)


def _edge_ids(rows: Sequence[Row]) -> list[str]:
    return [str(row.edge_id) for row in rows]
