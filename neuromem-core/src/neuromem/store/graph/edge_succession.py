"""Decides whether a relation is new, adds to a known one, and which earlier relation it ends.

The rules, decided in `EdgeBatch.put` without the database:

- A relation that is reported again while it holds is the same edge.
- Of a single-valued relation (`domain.graph.SINGLE_VALUED`: where somebody lives, works, was born) one holds at a
  time. A new one ends its predecessor at the moment at which it begins, and itself ends where a later one is known to
  begin.
- A report of which only the end is known ("no longer works there") ends no other edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.graph import Name, NewEdge
    from neuromem.store.database.rows import Row


@dataclass(frozen=True, slots=True)
class EdgeOutcome:
    """What became of a reported edge.

    Attributes:
        edge_id: The id of the edge that now stands for it.
        outcome: "added" for a new edge, "changed" where it added to a known one, "repeated" where nothing was new.
    """

    edge_id: str
    outcome: str


@dataclass(slots=True)
class PendingEdge:
    """An edge as it shall be when the batch is written.

    Attributes:
        edge_id: The id of the edge.
        source: The number of the node at its beginning.
        target: The number of the node at its end.
        relation: The key of the relation.
        properties: Further properties.
        confidence: How certain it is, None for unknown.
        valid_from: Since when it holds in the world, None for unknown.
        valid_until: Until when it holds, None for unknown or still.
        name: The own name of a custom relation.
        closed_by: The id of the edge that ended it.
        stored: Whether the database has a version of it.
        changed: Whether it differs from the stored version.
    """

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
        """Return whether it holds in the world at a moment."""
        begun = self.valid_from is None or self.valid_from <= at
        return begun and (self.valid_until is None or self.valid_until > at)


class EdgeBatch:
    """Edges that change together: each is decided in view of the stored ones and of those put before it."""

    def __init__(self, rows: Iterable[Row]) -> None:
        """Begin with the current edges of the sources and relations that will be put.

        Args:
            rows: Rows of `edge_batch.PENDING_EDGE_COLUMNS`.
        """
        self._edges = {edge.edge_id: edge for edge in map(pending_edge, rows)}
        self._sources: dict[tuple[str, str], None] = {}
        self.nodes: list[tuple[int, Name]] = []
        """Nodes to be created: number and name."""
        self.removed: list[PendingEdge] = []
        """Stored edges that turned out never to have held."""

    @property
    def changed(self) -> Sequence[PendingEdge]:
        """Stored edges that need a next version."""
        return [edge for edge in self._edges.values() if edge.stored and edge.changed]

    @property
    def added(self) -> Sequence[PendingEdge]:
        """Edges that are not stored yet."""
        return [edge for edge in self._edges.values() if not edge.stored]

    @property
    def sources(self) -> Sequence[tuple[str, str]]:
        """Ids of edges, each with the id of a message that reported it."""
        return [(edge_id, message) for edge_id, message in self._sources if edge_id in self._edges]

    def add_node(self, number: int, name: Name) -> None:
        """Note a node that has to be created."""
        self.nodes.append((number, name))

    def put(self, source: int, edge: NewEdge, target: int, now: datetime) -> EdgeOutcome:
        """Take a reported edge between two nodes and decide what becomes of it; the module states the rules.

        Args:
            source: The number of the node at its beginning.
            edge: What was reported.
            target: The number of the node at its end.
            now: The moment of the transaction, for reports without a time of their own.
        """
        at = _moment_of(edge, now)
        single = edge.relation.single_valued
        same_relation = [
            e for e in self._edges.values() if e.source == source and e.relation == edge.relation.key
        ]
        same_target = [e for e in same_relation if e.target == target]
        rivals = same_relation if single else same_target  # of these at most one holds at a time
        holding = next((e for e in rivals if e.holds(at)), None)
        following = min(
            (e for e in rivals if e.valid_from is not None and e.valid_from > at), key=_begin, default=None
        )
        if holding is not None and holding.target == target:
            outcome = _complete(holding, edge)
        elif following is not None and following.target == target and single and not _only_end_known(edge):
            self._end(holding, at, following.edge_id)
            following.valid_from, following.changed = at, True
            outcome = EdgeOutcome(following.edge_id, "changed")
        else:
            new = _new_edge(source, edge, target, at, following, reported_before=bool(same_target))
            if not _only_end_known(edge):
                self._end(holding, at, new.edge_id)
            self._edges[new.edge_id] = new
            outcome = EdgeOutcome(new.edge_id, "added")
        for message in edge.sources:
            self._sources[outcome.edge_id, message] = None
        return outcome

    def _end(self, edge: PendingEdge | None, at: datetime, by: str) -> None:
        """End an edge at a moment; one that began at that very moment never held and is removed."""
        if edge is None:
            return
        if edge.valid_from == at:
            del self._edges[edge.edge_id]
            if edge.stored:
                self.removed.append(edge)
        else:
            edge.valid_until, edge.closed_by, edge.changed = at, by, True


def pending_edge(row: Row) -> PendingEdge:
    """Return the stored edge in a row of `edge_batch.PENDING_EDGE_COLUMNS`."""
    return PendingEdge(
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


def _only_end_known(edge: NewEdge) -> bool:
    return edge.valid_until is not None and edge.valid_from is None


def _moment_of(edge: NewEdge, now: datetime) -> datetime:
    """Return a moment at which a reported edge held: its beginning, or the last moment before its end."""
    if edge.valid_until is not None and edge.valid_from is None:
        return edge.valid_until - timedelta(microseconds=1)
    return edge.valid_from or edge.said_at or now


def _new_edge(
    source: int,
    edge: NewEdge,
    target: int,
    at: datetime,
    following: PendingEdge | None,
    *,
    reported_before: bool,
) -> PendingEdge:
    """Return a new edge with its validity.

    Without a given beginning it is unknown since when it holds, unless the edge succeeds another: then it begins when
    it was first reported. A single-valued one ends at the latest where the following one begins.
    """
    single = edge.relation.single_valued
    begins_at = reported_before or (single and not _only_end_known(edge))
    ends = [end for end in (edge.valid_until, following.valid_from if following and single else None) if end]
    return PendingEdge(
        str(uuid4()),
        source,
        target,
        edge.relation.key,
        dict(edge.properties),
        edge.confidence,
        at if begins_at else edge.valid_from,
        min(ends, default=None),
        edge.relation.name,
    )


def _begin(edge: PendingEdge) -> datetime:
    assert edge.valid_from is not None  # only edges with a known beginning are compared
    return edge.valid_from


def _complete(known: PendingEdge, edge: NewEdge) -> EdgeOutcome:
    """Add to a known edge what a further report of it knows."""
    before = (known.properties, known.confidence, known.valid_from, known.valid_until)
    known.properties = {**known.properties, **edge.properties}
    known.confidence = edge.confidence if edge.confidence is not None else known.confidence
    known.valid_from = known.valid_from if known.valid_from is not None else edge.valid_from
    known.valid_until = edge.valid_until if edge.valid_until is not None else known.valid_until
    if before == (known.properties, known.confidence, known.valid_from, known.valid_until):
        return EdgeOutcome(known.edge_id, "repeated")
    known.changed = True
    return EdgeOutcome(known.edge_id, "changed")
