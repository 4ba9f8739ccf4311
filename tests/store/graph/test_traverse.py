"""Paths and neighbors against networkx, on graphs with loops, parallel edges and islands."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuromem.domain.graph import EdgeType, NodeType

if TYPE_CHECKING:
    from neuromem.domain.graph import GraphPath
    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database

PERSON = NodeType.PERSON
TYPES = (EdgeType.KNOWS, EdgeType.MET)
SIZE = 9

Edges = list[tuple[int, int, int]]
EDGES = st.lists(
    st.tuples(st.integers(1, SIZE), st.integers(1, SIZE), st.integers(0, len(TYPES) - 1)),
    max_size=16,
    unique=True,
)

FILL_NODES = """
    WITH n AS (SELECT node, 'n' || node AS name FROM generate_series(1, CAST(:size AS int)) AS node), named AS (
        INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
        SELECT :user, name, 'PERSON', node, name, false, now() FROM n
    )
    INSERT INTO {s}.nodes (user_id, node, version, node_type, name, created_at)
    SELECT :user, node, 1, 'PERSON', name, now() FROM n
"""

FILL_EDGES = """
    INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, created_at)
    SELECT :user, gen_random_uuid(), 1, e.source, e.target, e.relation, now()
    FROM unnest(CAST(:sources AS int[]), CAST(:targets AS int[]), CAST(:relations AS text[]))
         AS e(source, target, relation)
"""


async def fill(database: Database, user: str, size: int, edges: Edges) -> None:
    async with database.user(user) as transaction:
        await transaction.run(FILL_NODES, {"user": user, "size": size})
        await transaction.run(
            FILL_EDGES,
            {
                "user": user,
                "sources": [edge[0] for edge in edges],
                "targets": [edge[1] for edge in edges],
                "relations": [TYPES[edge[2]].value for edge in edges],
            },
        )


def check(path: GraphPath, source: int, target: int, directed: bool, allowed: set[EdgeType]) -> None:
    """A path runs from end to end along edges that are of an allowed type and point where they may."""
    names = [node.id for node in path.nodes]
    assert (names[0], names[-1]) == (f"n{source}", f"n{target}")
    assert len(set(names)) == len(names) == path.length + 1
    for (here, there), edge in zip(pairwise(names), path.edges, strict=True):
        ends = (edge.source_id, edge.target_id)
        assert ends == (here, there) or (not directed and ends == (there, here))
        assert edge.edge_type in allowed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=EDGES, data=st.data())
async def test_paths_are_as_short_as_networkx_finds_them(
    nm: NeuroMemory, database: Database, edges: Edges, data: st.DataObject
) -> None:
    user = uuid4().hex
    await fill(database, user, SIZE, edges)
    for _ in range(4):
        directed, depth = data.draw(st.booleans()), data.draw(st.integers(1, 6))
        types = data.draw(st.none() | st.sets(st.sampled_from(TYPES)))
        source, target = data.draw(st.integers(1, SIZE)), data.draw(st.integers(1, SIZE))
        allowed = set(TYPES) if types is None else types
        reference: nx.Graph[int] = nx.DiGraph() if directed else nx.Graph()
        reference.add_nodes_from(range(1, SIZE + 1))
        reference.add_edges_from((s, t) for s, t, kind in edges if TYPES[kind] in allowed)
        try:
            expected = nx.shortest_path_length(reference, source, target)
        except nx.NetworkXNoPath:
            expected = None
        path = await nm.graph.find_path(
            user,
            PERSON,
            f"n{source}",
            PERSON,
            f"n{target}",
            depth,
            directed=directed,
            edge_types=None if types is None else sorted(types),
        )
        if expected is None or expected > depth:
            assert path is None
        else:
            assert path is not None
            assert path.length == expected
            check(path, source, target, directed, allowed)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=EDGES, data=st.data())
async def test_neighbors_are_those_that_networkx_reaches(
    nm: NeuroMemory, database: Database, edges: Edges, data: st.DataObject
) -> None:
    user = uuid4().hex
    await fill(database, user, SIZE, edges)
    direction: Literal["out", "in", "both"] = data.draw(st.sampled_from(("out", "in", "both")))
    depth = data.draw(st.integers(1, 5))
    start = data.draw(st.integers(1, SIZE))
    reference: nx.DiGraph[int] = nx.DiGraph()
    reference.add_nodes_from(range(1, SIZE + 1))
    reference.add_edges_from((s, t) for s, t, _ in edges)
    walked = {"out": reference, "in": reference.reverse(), "both": reference.to_undirected()}[direction]
    distances = nx.single_source_shortest_path_length(walked, start, cutoff=depth)
    found = await nm.graph.get_neighbors(
        user, PERSON, f"n{start}", direction=direction, depth=depth, limit=100
    )
    assert {n.node.id: n.distance for n in found} == {f"n{k}": d for k, d in distances.items() if d > 0}
    for near in found:
        joined = {edge.source_id for edge in near.edges} | {edge.target_id for edge in near.edges}
        expected = set()
        for edge in edges:
            ends = []
            if direction != "in":
                ends.append((edge[1], edge[0]))
            if direction != "out":
                ends.append((edge[0], edge[1]))
            if any(
                f"n{there}" == near.node.id and distances.get(here) == near.distance - 1
                for there, here in ends
            ):
                expected.add(edge)
        assert len(near.edges) == len(expected)
        assert near.node.id in joined


@pytest.mark.parametrize("directed", [False, True])
async def test_a_hub_of_ten_thousand_edges_is_crossed(
    nm: NeuroMemory, database: Database, directed: bool
) -> None:
    hub, size = 1, 10_002
    edges = [(hub, i, 0) for i in range(2, size)] + [(size, hub, 0), (2, 2, 0), (2, hub, 1)]
    await fill(database, "alice", size, edges)
    path = await nm.graph.find_path("alice", PERSON, f"n{size}", PERSON, "n77", 10, directed=directed)
    assert path is not None
    assert [node.id for node in path.nodes] == [f"n{size}", "n1", "n77"]
    backwards = await nm.graph.find_path("alice", PERSON, "n77", PERSON, "n78", 10, directed=directed)
    assert (backwards is None) is directed
    assert len(await nm.graph.get_neighbors("alice", PERSON, "n1", limit=10_000)) == 10_000


async def test_a_chain_is_followed_to_the_tenth_edge_and_no_further(
    nm: NeuroMemory, database: Database
) -> None:
    await fill(database, "alice", 12, [(i, i + 1, 0) for i in range(1, 12)])
    path = await nm.graph.find_path("alice", PERSON, "n1", PERSON, "n11", 10, directed=True)
    assert path is not None
    assert path.length == 10
    assert await nm.graph.find_path("alice", PERSON, "n1", PERSON, "n12", 10) is None
    assert await nm.graph.find_path("alice", PERSON, "n11", PERSON, "n1", 10, directed=True) is None


async def test_a_node_is_no_step_from_itself(nm: NeuroMemory, database: Database) -> None:
    await fill(database, "alice", 2, [(1, 1, 0)])
    path = await nm.graph.find_path("alice", PERSON, "n1", PERSON, "N1")
    assert path is not None
    assert (path.length, [node.id for node in path.nodes]) == (0, ["n1"])
    assert await nm.graph.find_path("alice", PERSON, "n1", PERSON, "nobody") is None
