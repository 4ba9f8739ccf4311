"""Writes of the graph: nodes found or made by name, edges with their validity.

Everything happens in a transaction that holds the user's lock since ``now``; rows are versions, so a change closes
one and adds another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from neuromem.domain.graph import NodeType, name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from neuromem.domain.graph import Name, NewEdge
    from neuromem.store.engine import Transaction

LOOK_UP = """
    SELECT key, node_type, node FROM {s}.node_names
    WHERE user_id = :user AND key = ANY(CAST(:keys AS text[])) AND superseded_at IS NULL
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

PROPERTIES = (
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

CURRENT = """
    SELECT edge_id, version, target, properties, confidence, valid_from, valid_until FROM {s}.edges
    WHERE user_id = :user AND source = :source AND relation = :relation AND superseded_at IS NULL
"""

CLOSE_EDGE = """
    UPDATE {s}.edges SET superseded_at = :now
    WHERE user_id = :user AND edge_id = :edge_id AND superseded_at IS NULL
"""

NEXT_EDGE = """
    INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, name, properties, confidence,
                           origin, valid_from, valid_until, closed_by, created_at)
    SELECT user_id, edge_id, version + 1, source, target, relation, name, CAST(:properties AS jsonb),
           CAST(:confidence AS float8), origin, CAST(:valid_from AS timestamptz),
           CAST(:valid_until AS timestamptz), coalesce(CAST(:closed_by AS uuid), closed_by), :now
    FROM {s}.edges WHERE user_id = :user AND edge_id = :edge_id ORDER BY version DESC LIMIT 1
"""

ADD_EDGE = """
    INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, name, properties, confidence,
                           origin, valid_from, valid_until, created_at)
    VALUES (:user, :edge_id, 1, :source, :target, :relation, :name, CAST(:properties AS jsonb), :confidence,
            CAST(:origin AS jsonb), :valid_from, :valid_until, :now)
"""

# Only messages that are there and the user's: an LLM may invent ids.
ADD_SOURCES = """
    INSERT INTO {s}.edge_sources (user_id, edge_id, message_id, created_at)
    SELECT :user, :edge_id, m.message_id, :now FROM {s}.messages m
    WHERE m.user_id = :user AND m.message_id = ANY(CAST(:sources AS uuid[]))
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Related:
    """What became of an edge: its id, and whether it was new, an addition to a known one, or known already."""

    edge_id: str
    outcome: str  # "added", "changed" or "repeated"


HUMAN = frozenset({NodeType.USER, NodeType.PERSON, NodeType.ENTITY})  # may be the user, by name
NEVER_GUESSED = frozenset({NodeType.USER, NodeType.MEMORY})  # no ENTITY is taken for one of these


async def relate(
    transaction: Transaction, user_id: str, edges: Sequence[NewEdge], now: datetime, origin: Mapping[str, Any]
) -> list[Related]:
    """Store relations between named things, making the nodes that are missing; returns one result for each.

    A name means a node that has it, or has it as an alias, of the same type. A person of the user's own name is
    the user; a thing of unknown type (``ENTITY``) is the one thing of that name. Nothing else is taken for the
    same, however alike the names look.
    """
    found = await resolve(transaction, user_id, [n for e in edges for n in (e.source, e.target)], now, origin)
    return [
        await put(transaction, user_id, found[edge.source], edge, found[edge.target], now, origin)
        for edge in edges
    ]


async def resolve(
    transaction: Transaction, user_id: str, names: Sequence[Name], now: datetime, origin: Mapping[str, Any]
) -> dict[Name, int]:
    """Return the node of every name; what has none gets one."""
    own = name(NodeType.USER, user_id)
    known = await look_up(transaction, user_id, names)
    found: dict[Name, int] = {}
    # Unknown types last: an ENTITY is then the thing of that name which the same relations call by its type.
    for wanted in sorted(dict.fromkeys(names), key=lambda n: n.node_type is NodeType.ENTITY):
        node = match(wanted, known.get(wanted.key, {}))
        if node is None:
            new = own if wanted.key == own.key and wanted.node_type in HUMAN else wanted
            node = await add_node(transaction, user_id, new, {}, now, origin)
            known.setdefault(new.key, {})[new.node_type] = node
        found[wanted] = node
    return found


def match(wanted: Name, nodes: Mapping[str, int]) -> int | None:
    """Return the node that a name means among those of the same key, by type."""
    if wanted.node_type in nodes:
        return nodes[wanted.node_type]
    if wanted.node_type is NodeType.PERSON and NodeType.USER in nodes:
        return nodes[NodeType.USER]
    if wanted.node_type is NodeType.ENTITY:
        return next(iter(nodes.values())) if len(set(nodes.values())) == 1 else None
    return nodes.get(NodeType.ENTITY) if wanted.node_type not in NEVER_GUESSED else None


async def look_up(transaction: Transaction, user_id: str, names: Sequence[Name]) -> dict[str, dict[str, int]]:
    """Return the nodes of name keys: by key, then by the type under which they go by that name."""
    rows = await transaction.all(LOOK_UP, {"user": user_id, "keys": sorted({n.key for n in names})})
    known: dict[str, dict[str, int]] = {}
    for row in rows:
        known.setdefault(row.key, {})[row.node_type] = row.node
    return known


async def add_node(
    transaction: Transaction, user_id: str, new: Name, properties: Mapping[str, Any], now: datetime,
    origin: Mapping[str, Any],
) -> int:  # fmt: skip
    """Make a node and return its number."""
    made = await transaction.value(
        ADD_NODE,
        {
            "user": user_id, "now": now, "key": new.key, "name": new.text, "node_type": new.node_type.value,
            "properties": json.dumps(dict(properties)), "origin": json.dumps(dict(origin)),
        },
    )  # fmt: skip
    return int(made)


async def set_properties(
    transaction: Transaction,
    user_id: str,
    node: int,
    given: Mapping[str, Any],
    now: datetime,
    *,
    replace: bool,
) -> None:
    """Give a node other properties as a new version; no change makes none."""
    old = await transaction.value(PROPERTIES, {"user": user_id, "node": node})
    new = dict(given) if replace else {**old, **given}
    if new != old:
        params = {"user": user_id, "node": node, "now": now}
        await transaction.run(CLOSE_NODE, params)
        await transaction.run(NEXT_NODE, {**params, "properties": json.dumps(new)})


async def forget_node(transaction: Transaction, user_id: str, node: int, now: datetime) -> None:
    """Take a node, its names and its edges out of the present."""
    await transaction.run(FORGET_NODE, {"user": user_id, "node": node, "now": now})


async def forget_edge(transaction: Transaction, user_id: str, edge_id: str, now: datetime) -> bool:
    """Take an edge out of the present; True when it was there."""
    return await transaction.run(CLOSE_EDGE, {"user": user_id, "edge_id": edge_id, "now": now}) > 0


async def put(
    transaction: Transaction, user_id: str, source: int, edge: NewEdge, target: int, now: datetime,
    origin: Mapping[str, Any],
) -> Related:  # fmt: skip
    """Store an edge between two nodes, or recognize it: said again it is the same while it holds.

    Of a single-valued relation one holds at a time: a new one ends the one that held when it begins, and ends
    itself where a later one is known to begin. Such an edge holds from when it was first said to hold. One of
    which only the end is known ends nothing.
    """
    over = edge.valid_until is not None and edge.valid_from is None
    at = edge.valid_from or edge.said_at or now
    if edge.valid_until is not None and over:
        at = edge.valid_until - timedelta(microseconds=1)
    rows = await transaction.all(CURRENT, {"user": user_id, "source": source, "relation": edge.relation.key})
    mine = [row for row in rows if row.target == target]
    rivals = rows if edge.relation.single_valued else mine
    held = next((row for row in rivals if _holds(row, at)), None)
    later = min((row for row in rivals if row.valid_from and row.valid_from > at), key=_begin, default=None)
    place = {"user": user_id, "now": now}
    if held is not None and held.target == target:
        related = await _again(transaction, held, edge, place)
    elif later is not None and later.target == target and edge.relation.single_valued and not over:
        await _end(transaction, held, at, str(later.edge_id), place)
        await _next(transaction, later, place, valid_from=at)
        related = Related(str(later.edge_id), "changed")
    else:
        edge_id = str(uuid4())
        single = edge.relation.single_valued
        ends = [end for end in (edge.valid_until, later.valid_from if later and single else None) if end]
        if not over:
            await _end(transaction, held, at, edge_id, place)
        await transaction.run(
            ADD_EDGE,
            {
                **place, "edge_id": edge_id, "source": source, "target": target,
                "relation": edge.relation.key, "name": edge.relation.name,
                "properties": json.dumps(dict(edge.properties)), "confidence": edge.confidence,
                "origin": json.dumps(dict(origin)), "valid_until": min(ends, default=None),
                "valid_from": at if mine or (single and not over) else edge.valid_from,
            },
        )  # fmt: skip
        related = Related(edge_id, "added")
    if edge.sources:
        await transaction.run(
            ADD_SOURCES, {**place, "edge_id": related.edge_id, "sources": list(edge.sources)}
        )
    return related


def _holds(row: Row[Any], at: datetime) -> bool:
    return (row.valid_from is None or row.valid_from <= at) and (
        row.valid_until is None or row.valid_until > at
    )


def _begin(row: Row[Any]) -> datetime:
    begin: datetime = row.valid_from
    return begin


async def _again(transaction: Transaction, row: Row[Any], edge: NewEdge, place: Mapping[str, Any]) -> Related:
    """Add to a known edge what was not known of it."""
    changes: dict[str, Any] = {}
    if {**row.properties, **edge.properties} != row.properties:
        changes["properties"] = {**row.properties, **edge.properties}
    if edge.confidence is not None and edge.confidence != row.confidence:
        changes["confidence"] = edge.confidence
    if row.valid_from is None and edge.valid_from is not None:
        changes["valid_from"] = edge.valid_from
    if edge.valid_until is not None and edge.valid_until != row.valid_until:
        changes["valid_until"] = edge.valid_until
    if changes:
        await _next(transaction, row, place, **changes)
    return Related(str(row.edge_id), "changed" if changes else "repeated")


async def _end(
    transaction: Transaction, row: Row[Any] | None, at: datetime, by: str, place: Mapping[str, Any]
) -> None:
    """Close an edge's validity at a moment; one that began at that very moment never held."""
    if row is None:
        return
    if row.valid_from == at:
        await transaction.run(CLOSE_EDGE, {**place, "edge_id": row.edge_id})
    else:
        await _next(transaction, row, place, valid_until=at, closed_by=by)


async def _next(transaction: Transaction, row: Row[Any], place: Mapping[str, Any], **changes: Any) -> None:
    """Replace the current version of an edge."""
    fields = {
        "properties": row.properties, "confidence": row.confidence, "valid_from": row.valid_from,
        "valid_until": row.valid_until, "closed_by": None, **changes,
    }  # fmt: skip
    fields["properties"] = json.dumps(fields["properties"])
    await transaction.run(CLOSE_EDGE, {**place, "edge_id": row.edge_id})
    await transaction.run(NEXT_EDGE, {**place, "edge_id": row.edge_id, **fields})
