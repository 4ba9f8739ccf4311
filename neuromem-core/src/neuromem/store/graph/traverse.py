"""Traversal: shortest paths and neighbors, each in one statement.

Breadth first, set by set: a row of the recursion holds a whole level of nodes, so cycles, parallel edges and
hubs cost what their edges cost and no more. A path is looked for from both ends, each time from the smaller level.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Literal

from neuromem.domain.graph import GraphPath, Neighbor
from neuromem.store.graph.read import edge_from_row, fill_view, name_parameters, node_from_row

if TYPE_CHECKING:
    from neuromem.domain.graph import Name
    from neuromem.store.database.database import Database
    from neuromem.store.graph.read import GraphView

Direction = Literal["out", "in", "both"]

OUT = "SELECT e.target AS node, e.created_at FROM {s}.edges e WHERE e.source = {from} AND {edge_seen}"
IN = "SELECT e.source AS node, e.created_at FROM {s}.edges e WHERE e.target = {from} AND {edge_seen}"
STEPS = {"out": OUT, "in": IN, "both": f"{OUT} UNION ALL {IN}"}
# From the source along the edges, from the target against them.
DIRECTED = f"{OUT} AND q.forward UNION ALL {IN} AND NOT q.forward"

NAMED = """
    (SELECT m.node FROM {s}.node_names m
     WHERE m.user_id = :user AND m.key = :KEY AND m.node_type = :TYPE AND {known:m})
"""

# `f` and `b` are the levels reached from the source and from the target, `f_seen` and `b_seen` all before them.
# They meet at the first step at which they share a node: no shorter path exists, or they would have met before.
PATH = """
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
                SELECT e.node FROM unnest(CASE WHEN q.forward THEN p.f ELSE p.b END) AS here(node)
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
            SELECT e.node FROM ({back}) AS e
            INTERSECT SELECT unnest(l.f) FROM (SELECT f FROM search WHERE f_level = w.level - 1 LIMIT 1) AS l
        ) AS shared)
        FROM to_source w WHERE w.level > 0
    ), to_target AS (
        SELECT b_level AS level, node FROM meeting
        UNION ALL
        SELECT w.level - 1, (SELECT min(node) FROM (
            SELECT e.node FROM ({ahead}) AS e
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
        SELECT n.* FROM {s}.nodes n WHERE n.user_id = :user AND n.node = h.node AND {known:n} LIMIT 1
    ) n
    LEFT JOIN LATERAL (
        SELECT e.* FROM {s}.edges e WHERE e.source = h.before AND e.target = h.node AND {edge_seen}
        {backwards}
        ORDER BY created_at, edge_id LIMIT 1
    ) e ON true
    {ends}
    ORDER BY h.place
"""

BACKWARDS = """
        UNION ALL
        SELECT e.* FROM {s}.edges e WHERE e.source = h.node AND e.target = h.before AND {edge_seen}
"""

# In every level the nodes come in the order in which edges to them were learned, the last first.
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
                    FROM unnest(p.level) AS here(node) CROSS JOIN LATERAL ({step}) AS e
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
        SELECT n.* FROM {s}.nodes n WHERE n.user_id = :user AND n.node = f.node AND {known:n} LIMIT 1
    ) n
    CROSS JOIN LATERAL (
        {edges_back}
    ) AS e
    JOIN nearer ON nearer.distance = f.distance AND nearer.node = e.other
    {ends}
    ORDER BY f.distance, f.place, e.created_at DESC, e.edge_id
"""

EDGES_BACK = {
    "out": "SELECT e.*, e.source AS other FROM {s}.edges e WHERE e.target = f.node AND {edge_seen}",
    "in": "SELECT e.*, e.target AS other FROM {s}.edges e WHERE e.source = f.node AND {edge_seen}",
}
EDGES_BACK["both"] = f"{EDGES_BACK['out']} UNION ALL {EDGES_BACK['in']}"


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
    """Return the shortest path of at most ``max_depth`` edges, None when there is none."""
    step, ahead, back = (DIRECTED, OUT, IN) if directed else (STEPS["both"],) * 3
    sql = (
        PATH.replace("{source}", _named("source"))
        .replace("{target}", _named("target"))
        .replace("{step}", step.replace("{from}", "here.node"))
        .replace("{ahead}", ahead.replace("{from}", "w.node"))
        .replace("{back}", back.replace("{from}", "w.node"))
        .replace("{backwards}", "" if directed else BACKWARDS)
    )
    params = {"user": user_id, "max_depth": max_depth, **view.params}
    for end, name in (("source", source), ("target", target)):
        params |= {f"{end}_key": name.key, f"{end}_type": name.node_type.value}
    async with database.reader(user_id, as_of=view.params.get("as_of")) as transaction:
        rows = await transaction.all(fill_view(sql, view), params)
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
    """Return the nodes at most ``depth`` edges away, nearest first, then those learned last first."""
    sql = (
        NEIGHBORS.replace("{source}", NAMED.replace("KEY", "key").replace("TYPE", "node_type"))
        .replace("{step}", STEPS[direction].replace("{from}", "here.node"))
        .replace("{edges_back}", EDGES_BACK[direction])
    )
    params = {"user": user_id, "depth": depth, "limit": limit, **name_parameters(name), **view.params}
    async with database.reader(user_id, as_of=view.params.get("as_of")) as transaction:
        rows = await transaction.all(fill_view(sql, view), params)
    found = []
    for (distance, _), group in groupby(rows, key=lambda row: (row.distance, row.place)):
        members = list(group)
        edges = {row.edge_id: edge_from_row(user_id, row) for row in members}
        found.append(Neighbor(node_from_row(user_id, members[0]), distance, tuple(edges.values())))
    return found


def _named(end: str) -> str:
    return NAMED.replace("KEY", f"{end}_key").replace("TYPE", f"{end}_type")
