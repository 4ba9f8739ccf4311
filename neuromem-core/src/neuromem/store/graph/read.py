"""Reads of the graph: nodes, edges, and what lies around names.

Every read speaks of one moment: the present, or with ``as_of`` what was known then. Edges that had ended by that
moment, or not begun, are left out unless asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.graph import Edge, EdgeType, Node, NodeType, edge_type_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.domain.graph import Name, Relation
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

NODE = """
    n.node, n.node_type, n.name AS node_name, n.properties AS node_properties,
    (SELECT f.created_at FROM {s}.nodes f WHERE f.user_id = :user AND f.node = n.node AND f.version = 1)
        AS node_created_at,
    ARRAY(SELECT a.name FROM {s}.node_names a
          WHERE a.user_id = :user AND a.node = n.node AND a.alias AND {known:a} ORDER BY a.key, a.node_type)
        AS aliases
"""

EDGE = """
    e.edge_id, s.node_type AS source_type, s.name AS source_name, e.relation, e.name AS own_name,
    t.node_type AS target_type, t.name AS target_name, e.properties, e.confidence, e.valid_from, e.valid_until,
    e.created_at,
    ARRAY(SELECT o.message_id FROM {s}.edge_sources o
          WHERE o.user_id = :user AND o.edge_id = e.edge_id AND {said} ORDER BY o.created_at, o.message_id)
        AS sources
"""

# One look-up each: edges are few by the time that their ends are named, which the planner does not know.
ENDS = """
    LEFT JOIN LATERAL (
        SELECT s.* FROM {s}.nodes s WHERE s.user_id = :user AND s.node = e.source AND {known:s} LIMIT 1
    ) s ON true
    LEFT JOIN LATERAL (
        SELECT t.* FROM {s}.nodes t WHERE t.user_id = :user AND t.node = e.target AND {known:t} LIMIT 1
    ) t ON true
"""

NODE_BY_NAME = """
    SELECT {node} FROM {s}.node_names m JOIN {s}.nodes n ON n.user_id = :user AND n.node = m.node AND {known:n}
    WHERE m.user_id = :user AND m.key = :key AND m.node_type = :node_type AND {known:m}
"""

NODES = """
    SELECT {node} FROM {s}.nodes n
    WHERE n.user_id = :user AND {known:n} AND n.node_type = coalesce(CAST(:node_type AS text), n.node_type)
    ORDER BY n.node LIMIT :limit OFFSET :offset
"""

EDGES = """
    SELECT {edge} FROM (
        SELECT e.* FROM {s}.edges e WHERE {edge_seen} AND {around}
        ORDER BY e.created_at, e.edge_id LIMIT :limit OFFSET :offset
    ) e {ends}
    ORDER BY e.created_at, e.edge_id
"""

AROUND = """
    e.edge_id IN (
        SELECT e.edge_id FROM {s}.node_names m JOIN {s}.edges e ON e.source = m.node AND {edge_seen}
        WHERE m.user_id = :user AND m.key = :key AND m.node_type = :node_type AND {known:m}
        UNION
        SELECT e.edge_id FROM {s}.node_names m JOIN {s}.edges e ON e.target = m.node AND {edge_seen}
        WHERE m.user_id = :user AND m.key = :key AND m.node_type = :node_type AND {known:m}
    )
"""

EDGE_BY_ID = """
    SELECT {edge} FROM {s}.edges e {ends} WHERE e.user_id = :user AND e.edge_id = :edge_id AND {known:e}
"""

# An edge between two of the named nodes says more than one at their rim; then the last learned comes first.
NEAR = """
    WITH named AS MATERIALIZED (
        SELECT DISTINCT m.node FROM {s}.node_names m
        WHERE m.user_id = :user AND m.key = ANY(CAST(:keys AS text[])) AND {known:m}
    ), touching AS (
        SELECT e.edge_id, e.version, e.created_at, count(*) AS ends FROM named CROSS JOIN LATERAL (
            SELECT e.edge_id, e.version, e.created_at FROM {s}.edges e
            WHERE e.source = named.node AND {edge_seen}
            UNION ALL
            SELECT e.edge_id, e.version, e.created_at FROM {s}.edges e
            WHERE e.target = named.node AND {edge_seen}
        ) e
        GROUP BY e.edge_id, e.version, e.created_at
        ORDER BY count(*) DESC, e.created_at DESC, e.edge_id LIMIT :limit
    )
    SELECT {edge} FROM touching n
    JOIN {s}.edges e ON e.user_id = :user AND e.edge_id = n.edge_id AND e.version = n.version {ends}
    ORDER BY n.ends DESC, e.created_at DESC, e.edge_id
"""


@dataclass(frozen=True, slots=True)
class GraphView:
    """What a read may see: a moment, some relations, and whether edges that do not hold then take part."""

    as_of: datetime | None = None
    relations: Sequence[Relation] | None = None
    customs: bool = False
    ended: bool = False

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the SQL that `fill` makes."""
        return {
            "as_of": self.as_of,
            "relations": [relation.key for relation in self.relations or ()],
            "builtin": list(EdgeType),
        }


PRESENT = GraphView()


def fill_view(sql: str, view: GraphView) -> str:
    """Return SQL with its placeholders replaced by what the view may see."""
    sql = sql.replace("{ends}", ENDS).replace("{edge}", EDGE).replace("{node}", NODE)
    sql = sql.replace("{edge_seen}", "e.user_id = :user AND {known:e} AND {holds} AND {asked}")
    for alias in "aemnst":
        sql = sql.replace("{known:" + alias + "}", version_condition(alias, view.as_of))
    said = "true" if view.as_of is None else "o.created_at <= CAST(:as_of AS timestamptz)"
    return (
        sql.replace("{said}", said)
        .replace("{holds}", edge_holds_condition(view))
        .replace("{asked}", relation_condition(view))
    )


def version_condition(alias: str, as_of: datetime | None) -> str:
    """Return the SQL for "this version is the current one", now or then."""
    if as_of is None:
        return f"{alias}.superseded_at IS NULL"
    moment = "CAST(:as_of AS timestamptz)"
    return (
        f"({alias}.created_at <= {moment} "
        f"AND ({alias}.superseded_at IS NULL OR {alias}.superseded_at > {moment}))"
    )


def edge_holds_condition(view: GraphView) -> str:
    """Return the SQL for "edge e is true in the world", now or then."""
    if view.ended:
        return "true"
    moment = "now()" if view.as_of is None else "CAST(:as_of AS timestamptz)"
    return (
        f"(e.valid_from IS NULL OR e.valid_from <= {moment}) "
        f"AND (e.valid_until IS NULL OR e.valid_until > {moment})"
    )


def relation_condition(view: GraphView) -> str:
    """Return the SQL for "edge e is of the asked relations"."""
    if view.relations is None:
        return "true"
    chosen = "e.relation = ANY(CAST(:relations AS text[]))"
    others = "NOT e.relation = ANY(CAST(:builtin AS text[]))"
    return f"({chosen} OR {others})" if view.customs else chosen


async def fetch_node(database: Database, user_id: str, name: Name, view: GraphView) -> Node | None:
    """Return the node of a name or alias."""
    async with database.reader(user_id, as_of=view.params.get("as_of")) as transaction:
        return await find_node(transaction, user_id, name, view)


async def find_node(
    transaction: Transaction, user_id: str, name: Name, view: GraphView = PRESENT
) -> Node | None:
    """Return the node of a name or alias, in a transaction that is running."""
    row = await transaction.first(
        fill_view(NODE_BY_NAME, view), {"user": user_id, **name_parameters(name), **view.params}
    )
    return None if row is None else node_from_row(user_id, row)


async def fetch_nodes(
    database: Database, user_id: str, node_type: NodeType | None, view: GraphView, *, limit: int, offset: int
) -> list[Node]:
    """Return nodes in the order in which they were made."""
    async with database.reader(user_id, as_of=view.params.get("as_of")) as transaction:
        rows = await transaction.all(
            fill_view(NODES, view),
            {"user": user_id, "node_type": node_type, "limit": limit, "offset": offset, **view.params},
        )
    return [node_from_row(user_id, row) for row in rows]


async def fetch_edges(
    database: Database, user_id: str, around: Name | None, view: GraphView, *, limit: int, offset: int
) -> list[Edge]:
    """Return edges in the order in which they were learned, all or those of one node."""
    sql = EDGES.replace("{around}", "true" if around is None else AROUND)
    params = {"user": user_id, "limit": limit, "offset": offset, **view.params}
    async with database.reader(user_id, as_of=view.params.get("as_of")) as transaction:
        rows = await transaction.all(
            fill_view(sql, view), {**params, **(name_parameters(around) if around else {})}
        )
    return [edge_from_row(user_id, row) for row in rows]


async def fetch_edge(transaction: Transaction, user_id: str, edge_id: str) -> Edge | None:
    """Return an edge as it is now."""
    row = await transaction.first(fill_view(EDGE_BY_ID, PRESENT), {"user": user_id, "edge_id": edge_id})
    return None if row is None else edge_from_row(user_id, row)


async def edges_around_names(
    transaction: Transaction,
    user_id: str,
    keys: Sequence[str],
    *,
    as_of: datetime | None = None,
    limit: int = 50,
) -> list[Edge]:
    """Return the edges that touch nodes with one of these name keys, those that join two of them first."""
    if not keys:
        return []
    view = GraphView(as_of=as_of)
    rows = await transaction.all(
        fill_view(NEAR, view), {"user": user_id, "keys": list(keys), "limit": limit, **view.params}
    )
    return [edge_from_row(user_id, row) for row in rows]


def name_parameters(name: Name) -> dict[str, Any]:
    """Return the parameters by which a node is found."""
    return {"key": name.key, "node_type": name.node_type.value}


def node_from_row(user_id: str, row: Row) -> Node:
    """Return the node in a row of `NODE`."""
    return Node(
        user_id=user_id,
        node_type=NodeType(row.node_type),
        id=row.node_name,
        properties=row.node_properties,
        aliases=tuple(row.aliases),
        created_at=row.node_created_at,
    )


def edge_from_row(user_id: str, row: Row) -> Edge:
    """Return the edge in a row of `EDGE`."""
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
