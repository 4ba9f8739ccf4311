"""Which relation a reported one ends, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from neuromem.domain.graph import EdgeType, NewEdge, NodeType, Relation, node_name
from neuromem.store.graph.edge_succession import EdgeBatch

if TYPE_CHECKING:
    from neuromem.store.graph.edge_succession import PendingEdge

ALICE, PARIS, ROME = 1, 2, 3
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIVES_IN = NewEdge(
    node_name(NodeType.USER, "alice"), Relation(EdgeType.LIVES_IN), node_name(NodeType.LOCATION, "a city")
)
VISITED = replace(LIVES_IN, relation=Relation(EdgeType.VISITED))


def year(n: int) -> datetime:
    return datetime(n, 1, 1, tzinfo=UTC)


def span(edge: PendingEdge) -> tuple[int, Any, Any]:
    return edge.target, edge.valid_from, edge.valid_until


def test_a_single_valued_relation_ends_its_predecessor() -> None:
    batch = EdgeBatch([])
    batch.put(ALICE, replace(LIVES_IN, valid_from=year(2020)), PARIS, NOW)
    moved = batch.put(ALICE, replace(LIVES_IN, valid_from=year(2024)), ROME, NOW)
    paris, rome = batch.added
    assert span(paris) == (PARIS, year(2020), year(2024))
    assert paris.closed_by == moved.edge_id
    assert span(rome) == (ROME, year(2024), None)


def test_it_ends_itself_where_a_later_one_begins() -> None:
    batch = EdgeBatch([])
    batch.put(ALICE, replace(LIVES_IN, valid_from=year(2024)), ROME, NOW)
    batch.put(ALICE, replace(LIVES_IN, valid_from=year(2020)), PARIS, NOW)
    assert [span(edge) for edge in batch.added] == [
        (ROME, year(2024), None),
        (PARIS, year(2020), year(2024)),
    ]


def test_other_relations_accumulate() -> None:
    batch = EdgeBatch([])
    batch.put(ALICE, VISITED, PARIS, NOW)
    batch.put(ALICE, VISITED, ROME, NOW)
    assert [span(edge) for edge in batch.added] == [(PARIS, None, None), (ROME, None, None)]


def test_reported_again_it_is_the_same_edge_while_it_holds() -> None:
    batch = EdgeBatch([])
    first = batch.put(ALICE, LIVES_IN, PARIS, NOW)
    again = batch.put(ALICE, replace(LIVES_IN, sources=("a message",)), PARIS, NOW)
    assert (first.outcome, again.outcome) == ("added", "repeated")
    assert first.edge_id == again.edge_id
    assert batch.sources == [(first.edge_id, "a message")]


def test_a_report_of_an_end_alone_ends_no_other() -> None:
    batch = EdgeBatch([])
    batch.put(ALICE, replace(LIVES_IN, valid_from=year(2020)), PARIS, NOW)
    batch.put(ALICE, replace(LIVES_IN, valid_until=year(2023)), ROME, NOW)
    assert [span(edge) for edge in batch.added] == [(PARIS, year(2020), None), (ROME, None, year(2023))]
