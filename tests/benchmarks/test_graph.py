"""The benchmark of the graph runs and agrees with networkx."""

from __future__ import annotations

from benchmarks import graph


async def test_paths_and_neighbors_are_right(empty_url: str) -> None:
    options = ["--nodes", "200", "--edges", "800", "--pairs", "25", "--database-url", empty_url]
    report = await graph.run(graph.parser().parse_args(options))
    assert set(report.wrong.values()) == {0}
    assert len(report.timings) == len(report.wrong) == 7
    assert "find_path, undirected, max_depth 4" in report.text()
