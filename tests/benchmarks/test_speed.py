"""The benchmarks of speed run at a small size; how fast it is, no test can say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ingest, latency
from benchmarks.support.bare import Bare
from benchmarks.support.loading import load
from benchmarks.support.references import Tap
from benchmarks.support.server import Place
from benchmarks.support.synthetic import PreparedEmbedding, Synthetic
from neuromem import NeuroMemory

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="CPU times are read from Linux's /proc"
)


async def test_latency_measures_every_scenario(empty_url: str) -> None:
    options = [
        "--sizes",
        "30,60",
        "--users",
        "3",
        "--memories",
        "30",
        "--questions",
        "4",
        "--past",
        "2",
        "--crowd",
        "8",
        "--soak",
        "10",
        "--database-url",
        empty_url,
    ]
    report = await latency.run(latency.parser().parse_args(options))
    assert [result.memories for result in report.results.values()][:3] == [30, 60, 30]
    assert all(result.statements > 0 and result.crowd is not None for result in report.results.values())
    assert list(report.soak) == list(range(11))
    assert "one user of 60" in report.text()


async def test_loaded_memories_are_found_as_the_bare_statement_finds_them(empty_url: str) -> None:
    where, embedding, synthetic = Place(empty_url, "neuromem"), PreparedEmbedding(), Synthetic()
    assert await load(where, embedding, {"u": 1_200}, synthetic) == 1_200
    assert await load(where, embedding, {"u": 1_200}, synthetic) == 0, "what is there is not loaded again"
    asked = synthetic.questions(3)
    embedding.prepare(asked)
    tap = Tap()
    async with NeuroMemory(
        empty_url, embedding, llm="none", worker=False, plugins=[tap], settings={"enable": ["tap"]}
    ) as nm:
        bare = await Bare.open(where, nm.settings.bm25)
        try:
            await bare.become("u")
            for text, vector in zip(asked.texts, asked.vectors.tolist(), strict=True):
                rows = await bare.ask(bare.arguments("u", text, vector))
                await nm.recall("u", text, limit=50)
                for arm, found in (("bm25", tap.bm25), ("vector", tap.vector)):
                    best = [row["score"] for row in rows if row["arm"] == arm]
                    assert found.scores[: len(best)] == pytest.approx(best, abs=1e-4)
        finally:
            await bare.close()


async def test_ingest_stores_and_drains(empty_url: str) -> None:
    options = ["--messages", "200", "--batch", "50", "--calls", "3", "--database-url", empty_url]
    report = await ingest.run(ingest.parser().parse_args(options))
    assert report.results["batches, one user"].items == 200
    assert report.results["embedding the queue"].items == 200 + 200 + 2 * (3 + ingest.WARM_UP)
    assert "ingest()" in report.text()
