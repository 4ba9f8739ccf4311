"""Reads nodes, edges, and the edges around names; what each read sees is decided by `view.GraphView`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.graph import Edge, Node, NodeType, edge_type_of
from neuromem.store.database.sql import TRUE, Fragment
from neuromem.store.graph.view import PRESENT, GraphView

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.domain.graph import Name
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

NODE_BY_NAME = """
    SELECT {node} FROM {s}.node_names m JOIN {s}.nodes n ON n.user_id = :user AND n.node = m.node AND {current_n}
    WHERE m.user_id = :user AND m.key = :key AND m.node_type = :node_type AND {current_m}
"""

NODES_BY_TYPE = """
    SELECT {node} FROM {s}.nodes n
    WHERE n.user_id = :user AND {current_n} AND n.node_type = coalesce(CAST(:node_type AS text), n.node_type)
    ORDER BY n.node LIMIT :limit OFFSET :offset
"""

EDGES = """
    SELECT {edge} FROM (
        SELECT e.* FROM {s}.edges e WHERE {edge_visible} AND {which}
        ORDER BY e.created_at, e.edge_id LIMIT :limit OFFSET :offset
    ) e {ends}
    ORDER BY e.created_at, e.edge_id
"""

EDGE_TOUCHES_NAME = """
    e.edge_id IN (
        SELECT e.edge_id FROM {s}.node_names m JOIN {s}.edges e ON e.source = m.node AND {edge_visible}
        WHERE m.user_id = :user AND m.key = :key AND m.node_type = :node_type AND {current_m}
        UNION
        SELECT e.edge_id FROM {s}.node_names m JOIN {s}.edges e ON e.target = m.node AND {edge_visible}
        WHERE m.user_id = :user AND m.key = :key AND m.node_type = :node_type AND {current_m}
    )
"""

EDGE_BY_ID = """
    SELECT {edge} FROM {s}.edges e {ends} WHERE e.user_id = :user AND e.edge_id = :edge_id AND {current_e}
"""

# Edges between two of the named nodes come before edges that touch only one, then the last learned come first.
EDGES_AROUND_NAMES = """
    WITH named AS MATERIALIZED (
        SELECT DISTINCT m.node FROM {s}.node_names m
        WHERE m.user_id = :user AND m.key = ANY(CAST(:keys AS text[])) AND {current_m}
    ), touching AS (
        SELECT e.edge_id, e.version, e.created_at, count(*) AS ends FROM named CROSS JOIN LATERAL (
            SELECT e.edge_id, e.version, e.created_at FROM {s}.edges e
            WHERE e.source = named.node AND {edge_visible}
            UNION ALL
            SELECT e.edge_id, e.version, e.created_at FROM {s}.edges e
            WHERE e.target = named.node AND {edge_visible}
        ) e
        GROUP BY e.edge_id, e.version, e.created_at
        ORDER BY count(*) DESC, e.created_at DESC, e.edge_id LIMIT :limit
    )
    SELECT {edge} FROM touching n
    JOIN {s}.edges e ON e.user_id = :user AND e.edge_id = n.edge_id AND e.version = n.version {ends}
    ORDER BY n.ends DESC, e.created_at DESC, e.edge_id
"""
CURRENT_EDGES_AROUND_NAMES = PRESENT.fill(EDGES_AROUND_NAMES)  # filled once: recall asks for it


async def fetch_node(database: Database, user_id: str, name: Name, view: GraphView) -> Node | None:
    """Return the node that has a name or alias, None when there is none.

    Args:
        database: The database to read from.
        user_id: Whose graph.
        name: The name with the type under which the node goes by it.
        view: What the read sees.
    """
    async with database.reader(user_id, as_of=view.as_of) as transaction:
        return await find_node(transaction, user_id, name, view)


async def find_node(
    transaction: Transaction, user_id: str, name: Name, view: GraphView = PRESENT
) -> Node | None:
    """Return the node that has a name or alias, in a transaction that has begun; None when there is none."""
    row = await transaction.first(view.fill(NODE_BY_NAME), {"user": user_id, **name_parameters(name)})
    return None if row is None else node_from_row(user_id, row)


async def fetch_nodes(
    database: Database, user_id: str, node_type: NodeType | None, view: GraphView, *, limit: int, offset: int
) -> list[Node]:
    """Return a page of nodes in the order in which they were created.

    Args:
        database: The database to read from.
        user_id: Whose graph.
        node_type: Only nodes of this type; None for all.
        view: What the read sees.
        limit: The most nodes to return.
        offset: How many nodes to skip.
    """
    async with database.reader(user_id, as_of=view.as_of) as transaction:
        rows = await transaction.all(
            view.fill(NODES_BY_TYPE),
            {"user": user_id, "node_type": node_type, "limit": limit, "offset": offset},
        )
    return [node_from_row(user_id, row) for row in rows]


async def fetch_edges(
    database: Database, user_id: str, around: Name | None, view: GraphView, *, limit: int, offset: int
) -> list[Edge]:
    """Return a page of edges in the order in which they were learned.

    Args:
        database: The database to read from.
        user_id: Whose graph.
        around: Only edges of the node with this name; None for all.
        view: What the read sees.
        limit: The most edges to return.
        offset: How many edges to skip.
    """
    which = TRUE
    if around is not None:
        which = Fragment(view.fill(EDGE_TOUCHES_NAME).sql, name_parameters(around))
    async with database.reader(user_id, as_of=view.as_of) as transaction:
        rows = await transaction.all(
            view.fill(EDGES, which=which), {"user": user_id, "limit": limit, "offset": offset}
        )
    return [edge_from_row(user_id, row) for row in rows]


async def fetch_edge(transaction: Transaction, user_id: str, edge_id: str) -> Edge | None:
    """Return the current version of an edge, None when there is none."""
    row = await transaction.first(PRESENT.fill(EDGE_BY_ID), {"user": user_id, "edge_id": edge_id})
    return None if row is None else edge_from_row(user_id, row)


async def edges_around_names(
    transaction: Transaction,
    user_id: str,
    keys: Sequence[str],
    *,
    as_of: datetime | None = None,
    limit: int = 50,
) -> list[Edge]:
    """Return the edges of the nodes with these names, edges between two of them first, then the last learned.

    Args:
        transaction: A transaction that reads.
        user_id: Whose graph.
        keys: Names in the form in which they are compared (`Name.key`), of any type.
        as_of: See what was known and held at that moment; None for now.
        limit: The most edges to return.
    """
    if not keys:
        return []
    sql = CURRENT_EDGES_AROUND_NAMES if as_of is None else GraphView(as_of=as_of).fill(EDGES_AROUND_NAMES)
    rows = await transaction.all(sql, {"user": user_id, "keys": list(keys), "limit": limit})
    return [edge_from_row(user_id, row) for row in rows]


def name_parameters(name: Name) -> dict[str, Any]:
    """Return the parameters ``:key`` and ``:node_type`` that find a node by name."""
    return {"key": name.key, "node_type": name.node_type.value}


def node_from_row(user_id: str, row: Row) -> Node:
    """Return the node in a row of `view.NODE_COLUMNS`."""
    return Node(
        user_id=user_id,
        node_type=NodeType(row.node_type),
        id=row.node_name,
        properties=row.node_properties,
        aliases=tuple(row.aliases),
        created_at=row.node_created_at,
    )


def edge_from_row(user_id: str, row: Row) -> Edge:
    """Return the edge in a row of `view.EDGE_COLUMNS`."""
    return Edge(
        id=str(row.edge_id),
        user_id=user_id,
        source_type=NodeType(row.source_type),
        source_id=row.source_name,
        edge_type=edge_type_of(row.relation),
        target_type=NodeType(row.target_type),
        target_id=row.target_name,
        name=row.own_name,
        properties=row.properties,
        confidence=row.confidence,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        created_at=row.created_at,
        sources=tuple(str(source) for source in row.sources),
    )
