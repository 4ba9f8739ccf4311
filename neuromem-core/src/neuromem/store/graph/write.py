"""Writes of the graph: nodes found or made by name, edges with their validity.

Everything happens in a transaction that holds the user's lock since ``now``; rows are versions, so a change closes
one and adds another.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuromem.domain.graph import NodeType, name
from neuromem.store.graph.edge_batch import CURRENT_EDGES, EDGE_COLUMNS, EdgeBatch, EdgeOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.graph import Name, NewEdge
    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

LOOK_UP = """
    SELECT key, node_type, node FROM {s}.node_names
    WHERE user_id = :user AND key = ANY(CAST(:keys AS text[])) AND superseded_at IS NULL
"""

# The nodes of names, and their current edges of some relations.
FIND = f"""
    SELECT m.last, n.key, n.node_type, n.node, {EDGE_COLUMNS}
    FROM (SELECT coalesce(max(node), 0) AS last FROM {{s}}.nodes WHERE user_id = :user) AS m
    LEFT JOIN {{s}}.node_names n
        ON n.user_id = :user AND n.key = ANY(CAST(:keys AS text[])) AND n.superseded_at IS NULL
    LEFT JOIN {{s}}.edges e
        ON e.user_id = :user AND e.source = n.node AND e.relation = ANY(CAST(:relations AS text[]))
        AND e.superseded_at IS NULL
"""

ADD_NODE = """
    WITH n AS (
        SELECT coalesce(max(node), 0) + 1 AS node FROM {s}.nodes WHERE user_id = :user
    ), named AS (
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

NEXT_NODE = """
    INSERT INTO {s}.nodes (user_id, node, version, node_type, name, properties, origin, created_at)
    SELECT user_id, node, version + 1, node_type, name, CAST(:properties AS jsonb), origin, :now
    FROM {s}.nodes WHERE user_id = :user AND node = :node ORDER BY version DESC LIMIT 1
"""

NODE_PROPERTIES = (
    "SELECT properties FROM {s}.nodes WHERE user_id = :user AND node = :node AND superseded_at IS NULL"
)

FORGET_NODE = """
    WITH names AS (
        UPDATE {s}.node_names SET superseded_at = :now
        WHERE user_id = :user AND node = :node AND superseded_at IS NULL
    ), edges AS (
        UPDATE {s}.edges SET superseded_at = :now
        WHERE user_id = :user AND superseded_at IS NULL AND (source = :node OR target = :node)
    )
    UPDATE {s}.nodes SET superseded_at = :now WHERE user_id = :user AND node = :node AND superseded_at IS NULL
"""

CLOSE_EDGE = """
    UPDATE {s}.edges SET superseded_at = :now
    WHERE user_id = :user AND edge_id = :edge_id AND superseded_at IS NULL
"""


HUMAN = frozenset({NodeType.USER, NodeType.PERSON, NodeType.ENTITY})  # may be the user, by name
NEVER_GUESSED = frozenset({NodeType.USER, NodeType.MEMORY})  # no ENTITY is taken for one of these


async def store_relations(
    transaction: Transaction, user_id: str, edges: Sequence[NewEdge], now: datetime, origin: Mapping[str, Any]
) -> list[EdgeOutcome]:
    """Store relations between named things, making the nodes that are missing; returns one result for each.

    A name means a node that has it, or has it as an alias, of the same type. A person of the user's own name is
    the user; a thing of unknown type (``ENTITY``) is the one thing of that name. Nothing else is taken for the
    same, however alike the names look.
    """
    names = [n for e in edges for n in (e.source, e.target)]
    rows = await transaction.all(
        FIND,
        {
            "user": user_id,
            "keys": sorted({n.key for n in names}),
            "relations": sorted({edge.relation.key for edge in edges}),
        },
    )
    ledger = EdgeBatch(row for row in rows if row.edge_id is not None)
    found = _resolve(user_id, names, rows, ledger)
    related = [ledger.put(found[edge.source], edge, found[edge.target], now) for edge in edges]
    await ledger.write(transaction, user_id, now, origin)
    return related


def _resolve(user_id: str, names: Sequence[Name], rows: Sequence[Row], ledger: EdgeBatch) -> dict[Name, int]:
    """Return the node of every name; what has none gets one."""
    own = name(NodeType.USER, user_id)
    last = rows[0].last
    known: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.key is not None:
            known.setdefault(row.key, {})[row.node_type] = row.node
    found: dict[Name, int] = {}
    # Unknown types last: an ENTITY is then the thing of that name which the same relations call by its type.
    for wanted in sorted(dict.fromkeys(names), key=lambda n: n.node_type is NodeType.ENTITY):
        node = match_node(wanted, known.get(wanted.key, {}))
        if node is None:
            new = own if wanted.key == own.key and wanted.node_type in HUMAN else wanted
            node = last = last + 1
            ledger.node(node, new)
            known.setdefault(new.key, {})[new.node_type] = node
        found[wanted] = node
    return found


def match_node(wanted: Name, nodes: Mapping[str, int]) -> int | None:
    """Return the node that a name means among those of the same key, by type."""
    if wanted.node_type in nodes:
        return nodes[wanted.node_type]
    if wanted.node_type is NodeType.PERSON and NodeType.USER in nodes:
        return nodes[NodeType.USER]
    if wanted.node_type is NodeType.ENTITY:
        return next(iter(nodes.values())) if len(set(nodes.values())) == 1 else None
    return nodes.get(NodeType.ENTITY) if wanted.node_type not in NEVER_GUESSED else None


async def look_up_nodes(
    transaction: Transaction, user_id: str, names: Sequence[Name]
) -> dict[str, dict[str, int]]:
    """Return the nodes of name keys: by key, then by the type under which they go by that name."""
    rows = await transaction.all(LOOK_UP, {"user": user_id, "keys": sorted({n.key for n in names})})
    known: dict[str, dict[str, int]] = {}
    for row in rows:
        known.setdefault(row.key, {})[row.node_type] = row.node
    return known


async def insert_node(
    transaction: Transaction,
    user_id: str,
    new: Name,
    properties: Mapping[str, Any],
    now: datetime,
    origin: Mapping[str, Any],
) -> int:
    """Make a node and return its number."""
    made = await transaction.value(
        ADD_NODE,
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
    return int(made)


async def set_node_properties(
    transaction: Transaction,
    user_id: str,
    node: int,
    given: Mapping[str, Any],
    now: datetime,
    *,
    replace: bool,
) -> None:
    """Give a node other properties as a new version; no change makes none."""
    old = await transaction.value(NODE_PROPERTIES, {"user": user_id, "node": node})
    new = dict(given) if replace else {**old, **given}
    if new != old:
        params = {"user": user_id, "node": node, "now": now}
        await transaction.run(CLOSE_NODE, params)
        await transaction.run(NEXT_NODE, {**params, "properties": json.dumps(new)})


async def close_node(transaction: Transaction, user_id: str, node: int, now: datetime) -> None:
    """Take a node, its names and its edges out of the present."""
    await transaction.run(FORGET_NODE, {"user": user_id, "node": node, "now": now})


async def close_edge(transaction: Transaction, user_id: str, edge_id: str, now: datetime) -> bool:
    """Take an edge out of the present; True when it was there."""
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
    """Store one edge between two nodes, or recognize it; see `Ledger.put`."""
    ledger = EdgeBatch(
        await transaction.all(
            CURRENT_EDGES, {"user": user_id, "source": source, "relation": edge.relation.key}
        )
    )
    related = ledger.put(source, edge, target, now)
    await ledger.write(transaction, user_id, now, origin)
    return related
