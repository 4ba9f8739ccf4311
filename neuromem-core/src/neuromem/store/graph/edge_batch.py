"""Writes an `EdgeBatch`: all its nodes, edges, versions and sources in one statement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuromem.store.database.sql import fill

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from neuromem.store.database.database import Transaction
    from neuromem.store.graph.edge_succession import EdgeBatch

PENDING_EDGE_COLUMNS = (
    "e.edge_id, e.source, e.target, e.relation, e.properties, e.confidence, e.valid_from, e.valid_until"
)
"""The columns that `edge_succession.pending_edge` reads."""

CURRENT_EDGES = fill(
    """
    SELECT {columns} FROM {s}.edges e
    WHERE e.user_id = :user AND e.source = :source AND e.relation = :relation AND e.superseded_at IS NULL
    """,
    columns=PENDING_EDGE_COLUMNS,
)

# Counting the closed rows makes PostgreSQL close them before it inserts. The join with messages drops sources that
# are no message of the user: an LLM may invent ids.
WRITE_EDGES = """
    WITH closed AS (
        UPDATE {s}.edges SET superseded_at = :now
        WHERE user_id = :user AND edge_id = ANY(CAST(:closed AS uuid[])) AND superseded_at IS NULL
        RETURNING edge_id
    ), new_names AS (
        INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
        SELECT :user, n.key, n.node_type, n.node, n.name, false, :now
        FROM unnest(CAST(:node AS int[]), CAST(:node_key AS text[]), CAST(:node_type AS text[]),
                    CAST(:node_name AS text[])) AS n(node, key, node_type, name)
    ), new_nodes AS (
        INSERT INTO {s}.nodes (user_id, node, version, node_type, name, properties, origin, created_at)
        SELECT :user, n.node, 1, n.node_type, n.name, '{}', CAST(:origin AS jsonb), :now
        FROM unnest(CAST(:node AS int[]), CAST(:node_type AS text[]), CAST(:node_name AS text[]))
             AS n(node, node_type, name)
    ), new_versions AS (
        INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, name, properties, confidence,
                               origin, valid_from, valid_until, closed_by, created_at)
        SELECT e.user_id, e.edge_id, e.version + 1, e.source, e.target, e.relation, e.name, n.properties::jsonb,
               n.confidence, e.origin, n.valid_from, n.valid_until, coalesce(n.closed_by, e.closed_by), :now
        FROM unnest(CAST(:c_edge AS uuid[]), CAST(:c_properties AS text[]), CAST(:c_confidence AS float8[]),
                    CAST(:c_from AS timestamptz[]), CAST(:c_until AS timestamptz[]), CAST(:c_by AS uuid[]))
             AS n(edge_id, properties, confidence, valid_from, valid_until, closed_by)
        JOIN {s}.edges e ON e.user_id = :user AND e.edge_id = n.edge_id AND e.superseded_at IS NULL
        WHERE (SELECT count(*) FROM closed) >= 0
    ), new_edges AS (
        INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, name, properties, confidence,
                               origin, valid_from, valid_until, closed_by, created_at)
        SELECT :user, n.edge_id, 1, n.source, n.target, n.relation, n.name, n.properties::jsonb, n.confidence,
               CAST(:origin AS jsonb), n.valid_from, n.valid_until, n.closed_by, :now
        FROM unnest(CAST(:a_edge AS uuid[]), CAST(:a_source AS int[]), CAST(:a_target AS int[]),
                    CAST(:a_relation AS text[]), CAST(:a_name AS text[]), CAST(:a_properties AS text[]),
                    CAST(:a_confidence AS float8[]), CAST(:a_from AS timestamptz[]),
                    CAST(:a_until AS timestamptz[]), CAST(:a_by AS uuid[]))
             AS n(edge_id, source, target, relation, name, properties, confidence, valid_from, valid_until, closed_by)
        WHERE (SELECT count(*) FROM closed) >= 0
    )
    INSERT INTO {s}.edge_sources (user_id, edge_id, message_id, created_at)
    SELECT :user, n.edge_id, m.message_id, :now
    FROM unnest(CAST(:s_edge AS uuid[]), CAST(:s_message AS uuid[])) AS n(edge_id, message_id)
    JOIN {s}.messages m ON m.user_id = :user AND m.message_id = n.message_id
    ON CONFLICT DO NOTHING
"""


async def write_edge_batch(
    transaction: Transaction, user_id: str, batch: EdgeBatch, now: datetime, origin: Mapping[str, Any]
) -> None:
    """Write what is new and what has changed in a batch.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose graph.
        batch: The edges as they shall be.
        now: The moment of the transaction on the user's clock.
        origin: Who made the change, stored with each new node and edge.
    """
    changed, added, sources = batch.changed, batch.added, batch.sources
    await transaction.run(
        WRITE_EDGES,
        {
            "user": user_id,
            "now": now,
            "origin": json.dumps(dict(origin)),
            "closed": [edge.edge_id for edge in (*changed, *batch.removed)],
            "node": [number for number, _ in batch.nodes],
            "node_key": [name.key for _, name in batch.nodes],
            "node_type": [name.node_type.value for _, name in batch.nodes],
            "node_name": [name.text for _, name in batch.nodes],
            "c_edge": [edge.edge_id for edge in changed],
            "c_properties": [json.dumps(dict(edge.properties)) for edge in changed],
            "c_confidence": [edge.confidence for edge in changed],
            "c_from": [edge.valid_from for edge in changed],
            "c_until": [edge.valid_until for edge in changed],
            "c_by": [edge.closed_by for edge in changed],
            "a_edge": [edge.edge_id for edge in added],
            "a_source": [edge.source for edge in added],
            "a_target": [edge.target for edge in added],
            "a_relation": [edge.relation for edge in added],
            "a_name": [edge.name for edge in added],
            "a_properties": [json.dumps(dict(edge.properties)) for edge in added],
            "a_confidence": [edge.confidence for edge in added],
            "a_from": [edge.valid_from for edge in added],
            "a_until": [edge.valid_until for edge in added],
            "a_by": [edge.closed_by for edge in added],
            "s_edge": [edge_id for edge_id, _ in sources],
            "s_message": [message for _, message in sources],
        },
    )
