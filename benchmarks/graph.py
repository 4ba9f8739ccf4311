"""How fast paths and neighbors are found in a large graph, and whether they are right.

    python benchmarks/graph.py
    python benchmarks/graph.py --nodes 10000 --edges 50000 --pairs 200      # small

One user's graph of random edges, a share of them at a few hubs. For random pairs of nodes ``find_path`` is timed
and its length compared with what networkx finds in the same graph; ``get_neighbors`` likewise, from random nodes.
Times are of whole calls; CPU is that of this process and of PostgreSQL's.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import networkx as nx

from benchmarks.support import command, environment
from benchmarks.support.cpu import Meter, Stopwatch, Timing
from benchmarks.support.server import place
from benchmarks.support.tables import table
from neuromem import NeuroMemory, NodeType
from neuromem.testing import HashEmbedding

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.support.server import Place

USER = "alice"
HUBS, HUB_SIZE = 5, 10_000  # nodes that many edges end at, and how many
WARM_UP = 20

NODES = """
    WITH n AS (SELECT node, 'n' || node AS name FROM generate_series(1, $2::int) AS node), named AS (
        INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
        SELECT $1, name, 'PERSON', node, name, false, now() FROM n
    )
    INSERT INTO {s}.nodes (user_id, node, version, node_type, name, created_at)
    SELECT $1, node, 1, 'PERSON', name, now() FROM n
"""
EDGES = """
    INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, created_at)
    SELECT $1, gen_random_uuid(), 1, source, target, 'KNOWS', now()
    FROM unnest($2::int[], $3::int[]) AS e(source, target)
"""

Pairs = list[tuple[int, int]]


@dataclass
class Report:
    """What a run found: the times of every kind of call, and in how many it disagrees with networkx."""

    facts: dict[str, str]
    timings: dict[str, Timing] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, dict[str, int]] = field(default_factory=dict)

    def text(self) -> str:
        """Return the tables."""
        head = ["call", "calls", "p50 ms", "p95", "client cpu ms", "server cpu ms", "wrong"]
        rows = [
            [name, t.calls, t.p50, t.p95, t.client, t.server, self.wrong.get(name)]
            for name, t in self.timings.items()
        ]
        lengths = [
            f"{name}: " + ", ".join(f"{k}: {n}" for k, n in found.items())
            for name, found in self.lengths.items()
        ]
        return "\n\n".join(
            [
                environment.headline(self.facts),
                table("Traversal", head, rows),
                "\n".join(["Lengths", *lengths]),
            ]
        )


def make(nodes: int, edges: int, seed: int) -> Pairs:
    """Return distinct random edges, with hubs."""
    rng = random.Random(seed)
    found: set[tuple[int, int]] = set()
    hubs = [rng.randint(1, nodes) for _ in range(HUBS)]
    for hub in hubs:
        found.update((rng.randint(1, nodes), hub) for _ in range(min(HUB_SIZE, edges // (2 * HUBS))))
    while len(found) < edges:
        found.add((rng.randint(1, nodes), rng.randint(1, nodes)))
    return sorted(found)


async def fill(where: Place, nodes: int, edges: Pairs) -> None:
    """Store the graph as one transaction would, many rows a statement, and let the server look at it once."""
    connection = await where.connect()
    try:
        await connection.execute("SELECT set_config('neuromem.user_id', $1, false)", USER)
        await connection.execute(NODES.replace("{s}", where.schema), USER, nodes)
        statement = EDGES.replace("{s}", where.schema)
        await connection.execute(statement, USER, [e[0] for e in edges], [e[1] for e in edges])
        for name in ("nodes", "node_names", "edges"):
            await connection.execute(f"VACUUM ANALYZE {where.schema}.{name}")
    finally:
        await connection.close()


async def run(arguments: argparse.Namespace) -> Report:
    """Fill, find, compare."""
    edges = make(arguments.nodes, arguments.edges, arguments.seed)
    reference: nx.DiGraph[int] = nx.DiGraph(edges)
    reference.add_nodes_from(range(1, arguments.nodes + 1))
    rng = random.Random(arguments.seed + 1)
    pairs = [
        (rng.randint(1, arguments.nodes), rng.randint(1, arguments.nodes)) for _ in range(arguments.pairs)
    ]
    embedding = HashEmbedding()
    async with (
        place(arguments.database_url, settings={"fsync": "off"}) as where,
        NeuroMemory(where.url, embedding, llm="none", schema=where.schema, worker=False) as nm,
    ):
        meter = await Meter.of(where)
        await fill(where, arguments.nodes, edges)
        facts = await environment.describe(where, embedding)
        report = Report(
            {
                "graph": f"{arguments.nodes:,} nodes, {arguments.edges:,} edges, {HUBS} hubs, seed {arguments.seed}",
                **facts,
            }
        )
        for directed in (False, True):
            for depth in (4, 10):
                await paths(nm, report, meter, reference, pairs, depth=depth, directed=directed)
        for depth, limit in ((1, 10), (2, 100), (3, 1_000)):
            await neighbors(nm, report, meter, reference, pairs, depth=depth, limit=limit)
    return report


async def paths(
    nm: NeuroMemory,
    report: Report,
    meter: Meter,
    reference: nx.DiGraph[int],
    pairs: Pairs,
    *,
    depth: int,
    directed: bool,
) -> None:
    """Time ``find_path`` for every pair."""
    name = f"find_path, {'directed' if directed else 'undirected'}, max_depth {depth}"
    graph = reference if directed else reference.to_undirected(as_view=True)
    watch = Stopwatch(meter)
    wrong, lengths = 0, Counter[str]()
    for i, (source, target) in enumerate([*pairs[:WARM_UP], *pairs]):
        ends = (USER, NodeType.PERSON, f"n{source}", NodeType.PERSON, f"n{target}", depth)
        if i < WARM_UP:
            await nm.graph.find_path(*ends, directed=directed)
            continue
        with watch.running():
            path = await nm.graph.find_path(*ends, directed=directed)
        try:
            expected = nx.bidirectional_shortest_path(graph, source, target)
        except nx.NetworkXNoPath:
            expected = None
        best = len(expected) - 1 if expected is not None and len(expected) - 1 <= depth else None
        wrong += (path.length if path else None) != best
        lengths[str(best)] += 1
    report.timings[name], report.wrong[name] = watch.timing(), wrong
    report.lengths[name] = dict(sorted(lengths.items()))


async def neighbors(
    nm: NeuroMemory,
    report: Report,
    meter: Meter,
    reference: nx.DiGraph[int],
    pairs: Sequence[tuple[int, int]],
    *,
    depth: int,
    limit: int,
) -> None:
    """Time ``get_neighbors`` from the first of every pair, two hundred at most."""
    name = f"get_neighbors, depth {depth}, limit {limit}"
    graph = reference.to_undirected(as_view=True)
    watch = Stopwatch(meter)
    wrong = 0
    for start, _ in pairs[:200]:
        with watch.running():
            found = await nm.graph.get_neighbors(USER, NodeType.PERSON, f"n{start}", depth=depth, limit=limit)
        distances = nx.single_source_shortest_path_length(graph, start, cutoff=depth)
        expected = sorted(distance for node, distance in distances.items() if node != start)[:limit]
        right = [near.distance for near in found] == expected and all(
            distances[int(near.node.id[1:])] == near.distance for near in found
        )
        wrong += not right
    report.timings[name], report.wrong[name] = watch.timing(), wrong


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = command.options(__doc__)
    options.add_argument("--nodes", type=int, default=100_000)
    options.add_argument("--edges", type=int, default=500_000)
    options.add_argument("--pairs", type=int, default=1_000, help="random pairs of nodes")
    options.add_argument("--seed", type=int, default=1, help="of the graph")
    return options


if __name__ == "__main__":
    command.main(parser(), run)
