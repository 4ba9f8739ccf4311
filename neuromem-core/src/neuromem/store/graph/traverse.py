"""Traversal: the shortest path between two nodes, and the neighbors of a node, each in one statement.

Both search breadth first. A row of the recursive query holds a whole level of nodes as an array, so cycles, parallel
edges and nodes with many edges cost no more than a scan of those edges. A path is searched from both ends, each step
from the end with the smaller level.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Literal

from neuromem.domain.graph import GraphPath, Neighbor
from neuromem.store.database.sql import NOTHING, Fragment
from neuromem.store.graph.read import edge_from_row, node_from_row

if TYPE_CHECKING:
    from neuromem.domain.graph import Name
    from neuromem.store.database.database import Database
    from neuromem.store.graph.view import GraphView

Direction = Literal["out", "in", "both"]

STEP_OUT = (
    "SELECT e.target AS node, e.created_at FROM {s}.edges e WHERE e.source = {from_node} AND {edge_visible}"
)
STEP_IN = (
    "SELECT e.source AS node, e.created_at FROM {s}.edges e WHERE e.target = {from_node} AND {edge_visible}"
)
STEPS: dict[Direction, str] = {"out": STEP_OUT, "in": STEP_IN, "both": f"{STEP_OUT} UNION ALL {STEP_IN}"}
# From the source along the edges, from the target against them.
STEP_FROM_EITHER_END = f"{STEP_OUT} AND q.forward UNION ALL {STEP_IN} AND NOT q.forward"

NODE_OF_NAME = """
    (SELECT m.node FROM {s}.node_names m
     WHERE m.user_id = :user AND m.key = :{key} AND m.node_type = :{node_type} AND {current_m})
"""

# `f` and `b` are the levels reached from the source and from the target, `f_seen` and `b_seen` all before them.
# The search ends at the first step at which they share a node. No shorter path exists: its nodes would have been
# shared before.
SHORTEST_PATH = """
    WITH RECURSIVE ends AS MATERIALIZED (
        SELECT {source} AS s, {target} AS t
    ), search AS (
        SELECT 0 AS step, 0 AS f_level, ARRAY[s] AS f, ARRAY[s] AS f_seen, 0 AS b_level, ARRAY[t] AS b,
               ARRAY[t] AS b_seen, s = t AS met
        FROM ends WHERE s IS NOT NULL AND t IS NOT NULL
        UNION ALL
        SELECT p.step + 1,
               p.f_level + q.forward::int, CASE WHEN q.forward THEN n.level ELSE p.f END,
               CASE WHEN q.forward THEN p.f_seen || n.level ELSE p.f_seen END,
               p.b_level + (NOT q.forward)::int, CASE WHEN q.forward THEN p.b ELSE n.level END,
               CASE WHEN q.forward THEN p.b_seen ELSE p.b_seen || n.level END,
               EXISTS (
                   SELECT unnest(n.level) INTERSECT SELECT unnest(CASE WHEN q.forward THEN p.b ELSE p.f END)
               )
        FROM search p
        CROSS JOIN LATERAL (SELECT cardinality(p.f) <= cardinality(p.b) AS forward OFFSET 0) AS q
        CROSS JOIN LATERAL (
            SELECT ARRAY(
                SELECT e.node FROM unnest(CASE WHEN q.forward THEN p.f ELSE p.b END) AS origin(node)
                CROSS JOIN LATERAL ({step}) AS e
                EXCEPT SELECT unnest(CASE WHEN q.forward THEN p.f_seen ELSE p.b_seen END)
            ) AS level
            OFFSET 0
        ) AS n
        WHERE NOT p.met AND p.step < :max_depth AND cardinality(p.f) > 0 AND cardinality(p.b) > 0
    ), meeting AS MATERIALIZED (
        SELECT f_level, b_level, (
            SELECT min(node) FROM (SELECT unnest(f) AS node INTERSECT SELECT unnest(b)) AS shared
        ) AS node
        FROM search WHERE met
    ), to_source AS (
        SELECT f_level AS level, node FROM meeting
        UNION ALL
        SELECT w.level - 1, (SELECT min(node) FROM (
            SELECT e.node FROM ({step_back}) AS e
            INTERSECT SELECT unnest(l.f) FROM (SELECT f FROM search WHERE f_level = w.level - 1 LIMIT 1) AS l
        ) AS shared)
        FROM to_source w WHERE w.level > 0
    ), to_target AS (
        SELECT b_level AS level, node FROM meeting
        UNION ALL
        SELECT w.level - 1, (SELECT min(node) FROM (
            SELECT e.node FROM ({step_ahead}) AS e
            INTERSECT SELECT unnest(l.b) FROM (SELECT b FROM search WHERE b_level = w.level - 1 LIMIT 1) AS l
        ) AS shared)
        FROM to_target w WHERE w.level > 0
    ), path AS (
        SELECT level AS place, node FROM to_source
        UNION
        SELECT m.f_level + m.b_level - level, w.node FROM to_target w CROSS JOIN meeting m
    ), hops AS (
        SELECT place, node, lag(node) OVER (ORDER BY place) AS before FROM path
    )
    SELECT h.place, {node}, {edge}
    FROM hops h
    CROSS JOIN LATERAL (
        SELECT n.* FROM {s}.nodes n WHERE n.user_id = :user AND n.node = h.node AND {current_n} LIMIT 1
    ) n
    LEFT JOIN LATERAL (
        SELECT e.* FROM {s}.edges e WHERE e.source = h.before AND e.target = h.node AND {edge_visible}
        {hop_back}
        ORDER BY created_at, edge_id LIMIT 1
    ) e ON true
    {ends}
    ORDER BY h.place
"""

HOP_AGAINST_THE_EDGE = """
        UNION ALL
        SELECT e.* FROM {s}.edges e WHERE e.source = h.node AND e.target = h.before AND {edge_visible}
"""

# Within a level the nodes whose edges were learned last come first.
NEIGHBORS = """
    WITH RECURSIVE search AS (
        SELECT 0 AS distance, ARRAY[s] AS level, ARRAY[s] AS seen FROM (SELECT {source} AS s) AS start
        WHERE s IS NOT NULL
        UNION ALL
        SELECT p.distance + 1, n.level, p.seen || n.level
        FROM search p
        CROSS JOIN LATERAL (
            SELECT ARRAY(
                SELECT node FROM (
                    SELECT e.node, e.created_at, false AS seen
                    FROM unnest(p.level) AS origin(node) CROSS JOIN LATERAL ({step}) AS e
                    UNION ALL
                    SELECT unnest(p.seen), NULL, true
                ) AS reached
                GROUP BY node HAVING NOT bool_or(seen) ORDER BY max(created_at) DESC, node
            ) AS level
        ) AS n
        WHERE p.distance < :depth AND cardinality(p.level) > 0 AND cardinality(p.seen) <= :limit
    ), found AS MATERIALIZED (
        SELECT p.distance, l.node, l.place
        FROM search p CROSS JOIN LATERAL unnest(p.level) WITH ORDINALITY AS l(node, place)
        WHERE p.distance > 0 ORDER BY p.distance, l.place LIMIT :limit
    ), nearer AS MATERIALIZED (
        SELECT p.distance + 1 AS distance, unnest(p.level) AS node FROM search p
        WHERE p.distance < (SELECT max(distance) FROM found)
    )
    SELECT f.distance, f.place, {node}, {edge}
    FROM found f
    CROSS JOIN LATERAL (
        SELECT n.* FROM {s}.nodes n WHERE n.user_id = :user AND n.node = f.node AND {current_n} LIMIT 1
    ) n
    CROSS JOIN LATERAL (
        {edges_to_nearer}
    ) AS e
    JOIN nearer ON nearer.distance = f.distance AND nearer.node = e.other
    {ends}
    ORDER BY f.distance, f.place, e.created_at DESC, e.edge_id
"""

EDGES_TO_NEARER: dict[Direction, str] = {
    "out": "SELECT e.*, e.source AS other FROM {s}.edges e WHERE e.target = f.node AND {edge_visible}",
    "in": "SELECT e.*, e.target AS other FROM {s}.edges e WHERE e.source = f.node AND {edge_visible}",
}
EDGES_TO_NEARER["both"] = f"{EDGES_TO_NEARER['out']} UNION ALL {EDGES_TO_NEARER['in']}"


async def shortest_path(
    database: Database,
    user_id: str,
    source: Name,
    target: Name,
    view: GraphView,
    *,
    max_depth: int,
    directed: bool,
) -> GraphPath | None:
    """Return the shortest path between two nodes, None when there is none.

    Args:
        database: The database to read from.
        user_id: Whose graph.
        source: A name of the node where the path begins.
        target: A name of the node where it ends.
        view: What the read sees.
        max_depth: The most edges of a path.
        directed: Follow edges only from their source to their target.
    """
    sql = view.fill(
        SHORTEST_PATH,
        source=_node_of(view, source, "source"),
        target=_node_of(view, target, "target"),
        step=view.fill(STEP_FROM_EITHER_END if directed else STEPS["both"], from_node="origin.node"),
        step_ahead=view.fill(STEPS["out" if directed else "both"], from_node="w.node"),
        step_back=view.fill(STEPS["in" if directed else "both"], from_node="w.node"),
        hop_back=NOTHING if directed else view.fill(HOP_AGAINST_THE_EDGE),
    )
    async with database.reader(user_id, as_of=view.as_of) as transaction:
        rows = await transaction.all(sql, {"user": user_id, "max_depth": max_depth})
    if not rows:
        return None
    return GraphPath(
        tuple(node_from_row(user_id, row) for row in rows),
        tuple(edge_from_row(user_id, row) for row in rows[1:]),
    )


async def fetch_neighbors(
    database: Database,
    user_id: str,
    name: Name,
    view: GraphView,
    *,
    direction: Direction,
    depth: int,
    limit: int,
) -> list[Neighbor]:
    """Return the nodes around a node, nearest first, then those whose edges were learned last.

    Args:
        database: The database to read from.
        user_id: Whose graph.
        name: A name of the node in the middle.
        view: What the read sees.
        direction: Whether edges are followed from source to target, from target to source, or both.
        depth: The most edges between the node and a neighbor.
        limit: The most neighbors to return.
    """
    sql = view.fill(
        NEIGHBORS,
        source=_node_of(view, name, "name"),
        step=view.fill(STEPS[direction], from_node="origin.node"),
        edges_to_nearer=view.fill(EDGES_TO_NEARER[direction]),
    )
    async with database.reader(user_id, as_of=view.as_of) as transaction:
        rows = await transaction.all(sql, {"user": user_id, "depth": depth, "limit": limit})
    found = []
    for (distance, _), group in groupby(rows, key=lambda row: (row.distance, row.place)):
        members = list(group)
        edges = {row.edge_id: edge_from_row(user_id, row) for row in members}
        found.append(Neighbor(node_from_row(user_id, members[0]), distance, tuple(edges.values())))
    return found


def _node_of(view: GraphView, name: Name, prefix: str) -> Fragment:
    """Return the subquery for the node of a name; its parameters begin with ``prefix``."""
    key, node_type = f"{prefix}_key", f"{prefix}_type"
    found = view.fill(NODE_OF_NAME, key=key, node_type=node_type)
    return Fragment(found.sql, {**found.parameters, key: name.key, node_type: name.node_type.value})
