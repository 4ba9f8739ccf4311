"""Writes nodes and edges of the graph, and decides which node a name means (`match_node`).

Every function runs in a transaction that holds the user's lock; ``now`` is its moment on the user's clock. Rows are
versions: a change closes one and adds the next.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuromem.domain.graph import NodeType, node_name
from neuromem.store.database.sql import fill
from neuromem.store.graph.edge_batch import CURRENT_EDGES, PENDING_EDGE_COLUMNS, write_edge_batch
from neuromem.store.graph.edge_succession import EdgeBatch, EdgeOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.graph import Name, NewEdge
    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

NODES_OF_KEYS = """
    SELECT key, node_type, node FROM {s}.node_names
    WHERE user_id = :user AND key = ANY(CAST(:keys AS text[])) AND superseded_at IS NULL
"""

# The nodes of names, with their current edges of some relations; ``last`` is the highest number of a node.
NODES_AND_EDGES_OF_KEYS = fill(
    """
    SELECT m.last, n.key, n.node_type, n.node, {columns}
    FROM (SELECT coalesce(max(node), 0) AS last FROM {s}.nodes WHERE user_id = :user) AS m
    LEFT JOIN {s}.node_names n
        ON n.user_id = :user AND n.key = ANY(CAST(:keys AS text[])) AND n.superseded_at IS NULL
    LEFT JOIN {s}.edges e
        ON e.user_id = :user AND e.source = n.node AND e.relation = ANY(CAST(:relations AS text[]))
        AND e.superseded_at IS NULL
    """,
    columns=PENDING_EDGE_COLUMNS,
)

INSERT_NODE = """
    WITH n AS (
        SELECT coalesce(max(node), 0) + 1 AS node FROM {s}.nodes WHERE user_id = :user
    ), new_name AS (
        INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
        SELECT :user, :key, :node_type, node, :name, false, :now FROM n
    )
    INSERT INTO {s}.nodes (user_id, node, version, node_type, name, properties, origin, created_at)
    SELECT :user, node, 1, :node_type, :name, CAST(:properties AS jsonb), CAST(:origin AS jsonb), :now FROM n
    RETURNING node
"""

CLOSE_NODE = """
    UPDATE {s}.nodes SET superseded_at = :now WHERE user_id = :user AND node = :node AND superseded_at IS NULL
"""

INSERT_NODE_VERSION = """
    INSERT INTO {s}.nodes (user_id, node, version, node_type, name, properties, origin, created_at)
    SELECT user_id, node, version + 1, node_type, name, CAST(:properties AS jsonb), origin, :now
    FROM {s}.nodes WHERE user_id = :user AND node = :node ORDER BY version DESC LIMIT 1
"""

NODE_PROPERTIES = (
    "SELECT properties FROM {s}.nodes WHERE user_id = :user AND node = :node AND superseded_at IS NULL"
)

CLOSE_NODE_WITH_EDGES = """
    WITH closed_names AS (
        UPDATE {s}.node_names SET superseded_at = :now
        WHERE user_id = :user AND node = :node AND superseded_at IS NULL
    ), closed_edges AS (
        UPDATE {s}.edges SET superseded_at = :now
        WHERE user_id = :user AND superseded_at IS NULL AND (source = :node OR target = :node)
    )
    UPDATE {s}.nodes SET superseded_at = :now WHERE user_id = :user AND node = :node AND superseded_at IS NULL
"""

CLOSE_EDGE = """
    UPDATE {s}.edges SET superseded_at = :now
    WHERE user_id = :user AND edge_id = :edge_id AND superseded_at IS NULL
"""


MAY_BE_THE_USER = frozenset({NodeType.USER, NodeType.PERSON, NodeType.ENTITY})
"""Types under which the user's own name means the user."""
NEVER_AN_ENTITY = frozenset({NodeType.USER, NodeType.MEMORY})
"""Types for which a node of unknown type is never taken."""


async def store_relations(
    transaction: Transaction, user_id: str, edges: Sequence[NewEdge], now: datetime, origin: Mapping[str, Any]
) -> list[EdgeOutcome]:
    """Store relations between named things and create the nodes that are missing.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose graph.
        edges: The relations; each is decided in view of those before it (see `edge_succession`).
        now: The moment of the transaction on the user's clock.
        origin: Who reported them, stored with each new node and edge.

    Returns:
        What became of each relation, in their order.
    """
    names = [n for e in edges for n in (e.source, e.target)]
    rows = await transaction.all(
        NODES_AND_EDGES_OF_KEYS,
        {
            "user": user_id,
            "keys": sorted({n.key for n in names}),
            "relations": sorted({edge.relation.key for edge in edges}),
        },
    )
    batch = EdgeBatch(row for row in rows if row.edge_id is not None)
    nodes = _resolve_names(user_id, names, rows, batch)
    outcomes = [batch.put(nodes[edge.source], edge, nodes[edge.target], now) for edge in edges]
    await write_edge_batch(transaction, user_id, batch, now, origin)
    return outcomes


def _resolve_names(
    user_id: str, names: Sequence[Name], rows: Sequence[Row], batch: EdgeBatch
) -> dict[Name, int]:
    """Return the node of every name; a name that means no known node gets a new one in the batch."""
    own = node_name(NodeType.USER, user_id)
    last = rows[0].last
    known = _nodes_by_key(row for row in rows if row.key is not None)
    found: dict[Name, int] = {}
    # Unknown types last, so that an ENTITY can mean a thing to which the same relations give a type.
    for wanted in sorted(dict.fromkeys(names), key=lambda n: n.node_type is NodeType.ENTITY):
        node = match_node(wanted, known.get(wanted.key, {}))
        if node is None:
            new = own if wanted.key == own.key and wanted.node_type in MAY_BE_THE_USER else wanted
            node = last = last + 1
            batch.add_node(node, new)
            known.setdefault(new.key, {})[new.node_type] = node
        found[wanted] = node
    return found


def _nodes_by_key(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    known: dict[str, dict[str, int]] = {}
    for row in rows:
        known.setdefault(row.key, {})[row.node_type] = row.node
    return known


def match_node(wanted: Name, nodes: Mapping[str, int]) -> int | None:
    """Return the node that a name means, None when it means none of them.

    A name means the node that has it, or has it as an alias, of the same type. A person of the user's own name is the
    user. A thing of unknown type (``ENTITY``) is the one thing of that name. However alike other names look, they are
    not taken for the same.

    Args:
        wanted: The name.
        nodes: The nodes that have this name, by the type under which they have it.
    """
    if wanted.node_type in nodes:
        return nodes[wanted.node_type]
    if wanted.node_type is NodeType.PERSON and NodeType.USER in nodes:
        return nodes[NodeType.USER]
    if wanted.node_type is NodeType.ENTITY:
        return next(iter(nodes.values())) if len(set(nodes.values())) == 1 else None
    return nodes.get(NodeType.ENTITY) if wanted.node_type not in NEVER_AN_ENTITY else None


async def look_up_nodes(
    transaction: Transaction, user_id: str, names: Sequence[Name]
) -> dict[str, dict[str, int]]:
    """Return the nodes that have some names: by key, then by the type under which they have it."""
    rows = await transaction.all(NODES_OF_KEYS, {"user": user_id, "keys": sorted({n.key for n in names})})
    return _nodes_by_key(rows)


async def insert_node(
    transaction: Transaction,
    user_id: str,
    new: Name,
    properties: Mapping[str, Any],
    now: datetime,
    origin: Mapping[str, Any],
) -> int:
    """Create a node with a name.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose graph.
        new: The name and type of the node; no current node has it.
        properties: The properties of the node.
        now: The moment of the transaction on the user's clock.
        origin: Who created it.

    Returns:
        The number of the node.
    """
    node = await transaction.value(
        INSERT_NODE,
        {
            "user": user_id,
            "now": now,
            "key": new.key,
            "name": new.text,
            "node_type": new.node_type.value,
            "properties": json.dumps(dict(properties)),
            "origin": json.dumps(dict(origin)),
        },
    )
    return int(node)


async def set_node_properties(
    transaction: Transaction,
    user_id: str,
    node: int,
    given: Mapping[str, Any],
    now: datetime,
    *,
    replace: bool,
) -> None:
    """Give a node other properties as a new version; properties that are the same make none.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose graph.
        node: The number of the node.
        given: The properties.
        now: The moment of the transaction on the user's clock.
        replace: Replace all properties instead of adding to them.
    """
    old = await transaction.value(NODE_PROPERTIES, {"user": user_id, "node": node})
    new = dict(given) if replace else {**old, **given}
    if new != old:
        params = {"user": user_id, "node": node, "now": now}
        await transaction.run(CLOSE_NODE, params)
        await transaction.run(INSERT_NODE_VERSION, {**params, "properties": json.dumps(new)})


async def close_node(transaction: Transaction, user_id: str, node: int, now: datetime) -> None:
    """End the current versions of a node, of its names and of its edges."""
    await transaction.run(CLOSE_NODE_WITH_EDGES, {"user": user_id, "node": node, "now": now})


async def close_edge(transaction: Transaction, user_id: str, edge_id: str, now: datetime) -> bool:
    """End the current version of an edge; returns whether it had one."""
    return await transaction.run(CLOSE_EDGE, {"user": user_id, "edge_id": edge_id, "now": now}) > 0


async def store_edge(
    transaction: Transaction,
    user_id: str,
    source: int,
    edge: NewEdge,
    target: int,
    now: datetime,
    origin: Mapping[str, Any],
) -> EdgeOutcome:
    """Store one edge between two nodes and return what became of it (see `edge_succession`).

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose graph.
        source: The number of the node at its beginning.
        edge: What was reported; its names are not looked up.
        target: The number of the node at its end.
        now: The moment of the transaction on the user's clock.
        origin: Who reported it.
    """
    batch = EdgeBatch(
        await transaction.all(
            CURRENT_EDGES, {"user": user_id, "source": source, "relation": edge.relation.key}
        )
    )
    outcome = batch.put(source, edge, target, now)
    await write_edge_batch(transaction, user_id, batch, now, origin)
    return outcome
