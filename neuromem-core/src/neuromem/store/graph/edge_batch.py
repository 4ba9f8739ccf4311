"""Edges that change together: decided in memory, read and written in one statement each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from neuromem.domain.graph import Name, NewEdge
    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

EDGE_COLUMNS = (
    "e.edge_id, e.source, e.target, e.relation, e.properties, e.confidence, e.valid_from, e.valid_until"
)

CURRENT_EDGES = f"""
    SELECT {EDGE_COLUMNS} FROM {{s}}.edges e
    WHERE e.user_id = :user AND e.source = :source AND e.relation = :relation AND e.superseded_at IS NULL
"""

# Counting the closed rows makes their closing come first. Of sources, only messages that are there and the user's:
# an LLM may invent ids.
WRITE = """
    WITH closed AS (
        UPDATE {s}.edges SET superseded_at = :now
        WHERE user_id = :user AND edge_id = ANY(CAST(:closed AS uuid[])) AND superseded_at IS NULL
        RETURNING edge_id
    ), named AS (
        INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
        SELECT :user, n.key, n.node_type, n.node, n.name, false, :now
        FROM unnest(CAST(:node AS int[]), CAST(:node_key AS text[]), CAST(:node_type AS text[]),
                    CAST(:node_name AS text[])) AS n(node, key, node_type, name)
    ), made AS (
        INSERT INTO {s}.nodes (user_id, node, version, node_type, name, properties, origin, created_at)
        SELECT :user, n.node, 1, n.node_type, n.name, '{}', CAST(:origin AS jsonb), :now
        FROM unnest(CAST(:node AS int[]), CAST(:node_type AS text[]), CAST(:node_name AS text[]))
             AS n(node, node_type, name)
    ), changed AS (
        INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, name, properties, confidence,
                               origin, valid_from, valid_until, closed_by, created_at)
        SELECT e.user_id, e.edge_id, e.version + 1, e.source, e.target, e.relation, e.name, n.properties::jsonb,
               n.confidence, e.origin, n.valid_from, n.valid_until, coalesce(n.closed_by, e.closed_by), :now
        FROM unnest(CAST(:c_edge AS uuid[]), CAST(:c_properties AS text[]), CAST(:c_confidence AS float8[]),
                    CAST(:c_from AS timestamptz[]), CAST(:c_until AS timestamptz[]), CAST(:c_by AS uuid[]))
             AS n(edge_id, properties, confidence, valid_from, valid_until, closed_by)
        JOIN {s}.edges e ON e.user_id = :user AND e.edge_id = n.edge_id AND e.superseded_at IS NULL
        WHERE (SELECT count(*) FROM closed) >= 0
    ), added AS (
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


@dataclass(frozen=True, slots=True)
class EdgeOutcome:
    """What became of an edge: its id, and whether it was new, an addition to a known one, or known already."""

    edge_id: str
    outcome: str  # "added", "changed" or "repeated"


@dataclass(slots=True)
class _PendingEdge:
    """An edge as it will be; ``stored`` when the database has a version of it already."""

    edge_id: str
    source: int
    target: int
    relation: str
    properties: Mapping[str, Any]
    confidence: float | None
    valid_from: datetime | None
    valid_until: datetime | None
    name: str | None = None
    closed_by: str | None = None
    stored: bool = False
    changed: bool = False

    def holds(self, at: datetime) -> bool:
        """Tell whether it holds at a moment."""
        begun = self.valid_from is None or self.valid_from <= at
        return begun and (self.valid_until is None or self.valid_until > at)


class EdgeBatch:
    """Takes edges one after the other, each deciding in view of those before it, and writes them together."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._edges = {str(row["edge_id"]): _stored(row) for row in rows}
        self._ended: list[_PendingEdge] = []
        self._nodes: list[tuple[int, Name]] = []
        self._sources: dict[tuple[str, str], None] = {}

    def node(self, number: int, name: Name) -> None:
        """Note a node that is to be made."""
        self._nodes.append((number, name))

    def put(self, source: int, edge: NewEdge, target: int, now: datetime) -> EdgeOutcome:
        """Take an edge between two nodes, or recognize it: said again it is the same while it holds.

        Of a single-valued relation one holds at a time: a new one ends the one that held when it begins, and ends
        itself where a later one is known to begin. Such an edge holds from when it was first said to hold. One of
        which only the end is known ends nothing.
        """
        over = edge.valid_until is not None and edge.valid_from is None
        at = edge.valid_from or edge.said_at or now
        if edge.valid_until is not None and over:
            at = edge.valid_until - timedelta(microseconds=1)
        rows = [e for e in self._edges.values() if e.source == source and e.relation == edge.relation.key]
        mine = [row for row in rows if row.target == target]
        single = edge.relation.single_valued
        rivals = rows if single else mine
        held = next((row for row in rivals if row.holds(at)), None)
        coming = [row for row in rivals if row.valid_from is not None and row.valid_from > at]
        later = min(coming, key=_begin, default=None)
        if held is not None and held.target == target:
            related = _again(held, edge)
        elif later is not None and later.target == target and single and not over:
            self._end(held, at, later.edge_id)
            later.valid_from, later.changed = at, True
            related = EdgeOutcome(later.edge_id, "changed")
        else:
            edge_id = str(uuid4())
            ends = [end for end in (edge.valid_until, later.valid_from if later and single else None) if end]
            if not over:
                self._end(held, at, edge_id)
            self._edges[edge_id] = _PendingEdge(
                edge_id,
                source,
                target,
                edge.relation.key,
                dict(edge.properties),
                edge.confidence,
                at if mine or (single and not over) else edge.valid_from,
                min(ends, default=None),
                edge.relation.name,
            )
            related = EdgeOutcome(edge_id, "added")
        for message in edge.sources:
            self._sources[related.edge_id, message] = None
        return related

    async def write(
        self, transaction: Transaction, user_id: str, now: datetime, origin: Mapping[str, Any]
    ) -> None:
        """Write what is new and what has changed."""
        changed = [edge for edge in self._edges.values() if edge.stored and edge.changed]
        added = [edge for edge in self._edges.values() if not edge.stored]
        kept = [(edge_id, message) for edge_id, message in self._sources if edge_id in self._edges]
        await transaction.run(
            WRITE,
            {
                "user": user_id,
                "now": now,
                "origin": json.dumps(dict(origin)),
                "closed": [edge.edge_id for edge in (*changed, *self._ended)],
                "node": [number for number, _ in self._nodes],
                "node_key": [name.key for _, name in self._nodes],
                "node_type": [name.node_type.value for _, name in self._nodes],
                "node_name": [name.text for _, name in self._nodes],
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
                "s_edge": [edge_id for edge_id, _ in kept],
                "s_message": [message for _, message in kept],
            },
        )

    def _end(self, edge: _PendingEdge | None, at: datetime, by: str) -> None:
        """Close an edge's validity at a moment; one that began at that very moment never held."""
        if edge is None:
            return
        if edge.valid_from == at:
            del self._edges[edge.edge_id]
            if edge.stored:
                self._ended.append(edge)
        else:
            edge.valid_until, edge.closed_by, edge.changed = at, by, True


def _stored(row: Row) -> _PendingEdge:
    return _PendingEdge(
        str(row["edge_id"]),
        row["source"],
        row["target"],
        row["relation"],
        row["properties"],
        row["confidence"],
        row["valid_from"],
        row["valid_until"],
        stored=True,
    )


def _begin(edge: _PendingEdge) -> datetime:
    assert edge.valid_from is not None  # it was chosen by that
    return edge.valid_from


def _again(held: _PendingEdge, edge: NewEdge) -> EdgeOutcome:
    """Add to a known edge what was not known of it."""
    before = (held.properties, held.confidence, held.valid_from, held.valid_until)
    held.properties = {**held.properties, **edge.properties}
    held.confidence = edge.confidence if edge.confidence is not None else held.confidence
    held.valid_from = held.valid_from if held.valid_from is not None else edge.valid_from
    held.valid_until = edge.valid_until if edge.valid_until is not None else held.valid_until
    if before == (held.properties, held.confidence, held.valid_from, held.valid_until):
        return EdgeOutcome(held.edge_id, "repeated")
    held.changed = True
    return EdgeOutcome(held.edge_id, "changed")
