"""How long `recall` takes, against one bare SQL statement over the same tables.

    python benchmarks/latency.py                                   # one user of 1,000, of 10,000, of 100,000
    python benchmarks/latency.py --sizes 1000 --questions 50       # small
    python benchmarks/latency.py --sizes "" --users 1000 --memories 1000000 --shape both --home DIR

The bare statement fetches the exact vector top 50 and the BM25 top 50 of the same user, prepared, on a
connection whose user is set; it and `recall` take turns on every question. The question's vector is looked up;
what a model takes is shown apart (``--embedding``). CPU is that of this process and of PostgreSQL's, per call:
on a busy machine it tells more than the wall. ``--home`` keeps the embedded server's data for the next run.

Users of more than ``vectors.exact_limit`` memories get their index first, as they would in the background, unless
``--exact`` has `recall` look at all of their vectors; the bare statement always does.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import command, embeddings, environment
from benchmarks.support.bare import Bare
from benchmarks.support.cpu import Meter, Stopwatch, Timing, resident
from benchmarks.support.loading import load
from benchmarks.support.server import place
from benchmarks.support.statements import Statements
from benchmarks.support.synthetic import PreparedEmbedding, Synthetic
from benchmarks.support.tables import table
from neuromem import NeuroMemory

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.support.server import Place

CONCURRENT = 16
WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Scenario:
    """Users with so many memories each."""

    name: str
    sizes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Concurrent recalls: calls a second, what was wanted, the share of the CPU that others took."""

    rate: float
    wanted: float
    others: float


@dataclass(frozen=True, slots=True)
class Result:
    """What one scenario gave."""

    memories: int
    recall: Timing
    bare: Timing
    past: Timing | None
    statements: float
    trips: float
    approximate: float
    crowd: Crowd | None


@dataclass
class Report:
    """What a run found."""

    facts: dict[str, str]
    results: dict[str, Result] = field(default_factory=dict)
    soak: dict[int, int] = field(default_factory=dict)

    def text(self) -> str:
        """Return the tables."""
        rows = [
            [
                name,
                r.memories,
                r.bare.p50,
                r.bare.p95,
                r.recall.p50,
                r.recall.p95,
                r.recall.p50 / r.bare.p50,
                r.recall.p50 - r.bare.p50,
                r.bare.cpu,
                r.recall.client,
                r.recall.server,
                r.recall.cpu / r.bare.cpu if r.bare.cpu else None,
                r.past.p50 if r.past else None,
                r.statements,
                r.trips,
                f"{r.approximate:.0%}",
            ]
            for name, r in self.results.items()
        ]
        parts = [
            environment.headline(self.facts),
            table(
                "recall against the bare statement, wall and CPU milliseconds",
                [
                    "scenario",
                    "memories",
                    "bare p50",
                    "p95",
                    "recall p50",
                    "p95",
                    "ratio",
                    "more",
                    "bare cpu",
                    "client cpu",
                    "server cpu",
                    "cpu ratio",
                    "as_of p50",
                    "statements",
                    "round trips",
                    "through index",
                ],
                rows,
            ),
        ]
        crowds = [
            [name, r.crowd.rate, r.crowd.wanted, r.crowd.rate / r.crowd.wanted, f"{r.crowd.others:.0%}"]
            for name, r in self.results.items()
            if r.crowd is not None
        ]
        if crowds:
            head = ["scenario", "recalls/s", "wanted", "reached", "CPU taken by others"]
            parts.append(
                table(f"{CONCURRENT} at a time; wanted: 0.9 x cores / CPU seconds of one", head, crowds)
            )
        if self.soak:
            rows = [[done, size / 2**20] for done, size in self.soak.items()]
            parts.append(table("Memory of the process", ["recalls", "resident MB"], rows))
        return "\n\n".join(parts)


async def run(arguments: argparse.Namespace) -> Report:
    """Load and measure every scenario."""
    synthetic = Synthetic(arguments.seed)
    embedding = PreparedEmbedding()
    settings = {"fsync": "off", "max_wal_size": "4GB"}  # loading faster; reading is not touched
    async with place(arguments.database_url, home=arguments.home, settings=settings) as where:
        loaded = []
        scenarios = _scenarios(arguments)
        for scenario in scenarios:
            began = time.monotonic()
            stored = await load(where, embedding, scenario.sizes, synthetic, arguments.batch)
            loaded.append(f"{stored:,} in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        if not arguments.exact:
            async with NeuroMemory(where.url, embedding, llm="none", schema=where.schema) as nm:
                await nm.drain()
        report = Report(
            {
                "data": f"synthetic, seed {arguments.seed}, rows of a user together by {arguments.batch:,}, "
                f"{arguments.questions} questions each; loaded "
                + ", ".join(loaded)
                + f"; indexes {'left out' if arguments.exact else f'in {time.monotonic() - began:.0f} s'}",
                **await environment.describe(where, embedding),
                **await _model(arguments.embedding, synthetic.questions(20).texts),
            }
        )
        meter = await Meter.of(where)
        for scenario in scenarios:
            print(f"measuring {scenario.name}", file=sys.stderr)
            users = list(scenario.sizes)
            async with NeuroMemory(
                where.url,
                embedding,
                llm="none",
                schema=where.schema,
                worker=False,
                settings={"vectors": {"exact_limit": 10**9}} if arguments.exact else None,
            ) as nm:
                report.results[scenario.name] = await _measure(
                    nm,
                    where,
                    meter,
                    _asked(users, embedding, arguments),
                    arguments,
                    sum(scenario.sizes.values()),
                )
                if arguments.soak and scenario is scenarios[0]:
                    report.soak = await _soak(nm, users, embedding, arguments.seed, arguments.soak)
    return report


def _scenarios(arguments: argparse.Namespace) -> list[Scenario]:
    scenarios = [
        Scenario(f"one user of {int(size):,}", {f"size-{int(size)}": int(size)})
        for size in arguments.sizes.split(",")
        if size
    ]
    if arguments.users:
        if arguments.shape in ("equal", "both"):
            each = arguments.memories // arguments.users
            users = {f"equal-{i:04}": each for i in range(arguments.users)}
            scenarios.append(Scenario(f"{arguments.users:,} equal users", users))
        if arguments.shape in ("zipf", "both"):
            total = sum(1 / rank for rank in range(1, arguments.users + 1))
            users = {
                f"zipf-{i:04}": max(1, round(arguments.memories / (i + 1) / total))
                for i in range(arguments.users)
            }
            scenarios.append(Scenario(f"{arguments.users:,} users, Zipf", users))
    return scenarios


Asked = list[tuple[str, str, list[float]]]


def _asked(users: Sequence[str], embedding: PreparedEmbedding, arguments: argparse.Namespace) -> Asked:
    """Return questions of users drawn evenly, each with its vector."""
    n = WARM_UP + arguments.questions + arguments.crowd
    batch = Synthetic(arguments.seed + 1).questions(n)
    embedding.prepare(batch)
    whose = random.Random(arguments.seed).choices(users, k=n)
    return list(zip(whose, batch.texts, batch.vectors.tolist(), strict=True))


async def _measure(
    nm: NeuroMemory, where: Place, meter: Meter, asked: Asked, arguments: argparse.Namespace, memories: int
) -> Result:
    bare = await Bare.open(where, nm.settings.bm25)
    recalls, bares, pasts = Stopwatch(meter), Stopwatch(meter), Stopwatch(meter)
    first, rest = asked[:WARM_UP], asked[WARM_UP:]
    questions, crowd = rest[: arguments.questions], rest[arguments.questions :]

    async def with_bare(user: str, text: str, vector: list[float]) -> None:
        await bare.become(user)
        prepared = bare.arguments(user, text, vector)
        with bares.running():
            await bare.ask(prepared)

    async def with_recall(user: str, text: str) -> None:
        with recalls.running():
            await nm.recall(user, text)

    # What this benchmark itself holds, thousands of texts and vectors, is not the process's to look through.
    gc.collect()
    gc.freeze()
    try:
        for user, text, vector in first:
            await nm.recall(user, text)
            await bare.become(user)
            await bare.ask(bare.arguments(user, text, vector))
        for i, (user, text, vector) in enumerate(questions):
            if i % 2:  # whoever comes second finds the pages warm
                await with_bare(user, text, vector)
                await with_recall(user, text)
            else:
                await with_recall(user, text)
                await with_bare(user, text, vector)
        now = datetime.now(UTC)
        for user, text, _ in questions[: arguments.past]:
            with pasts.running():
                await nm.recall(user, text, as_of=now)
        answers = [await nm.recall(user, text, explain=True) for user, text, _ in questions[:20]]
        others = (crowd or questions)[: arguments.questions]  # where users are many, most did not ask yet
        counted = Statements(nm)
        for user, text, _ in others:
            await nm.recall(user, text)
        counted.stop()
    finally:
        await bare.close()
    timing = recalls.timing()
    return Result(
        memories,
        timing,
        bares.timing(),
        pasts.timing() if arguments.past else None,
        counted.statements / len(others),
        counted.trips / len(others),
        sum(answer["explain"]["vector"] == "approximate" for answer in answers) / len(answers),
        await _crowd(nm, meter, crowd, timing) if crowd else None,
    )


async def _crowd(nm: NeuroMemory, meter: Meter, asked: Asked, one: Timing) -> Crowd:
    """Ask many questions, so many at a time."""
    waiting = iter(asked)

    async def ask() -> None:
        for user, text, _ in waiting:
            await nm.recall(user, text)

    before, began = meter.read(), time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(CONCURRENT)))
    wall, used = time.perf_counter() - began, meter.read() - before
    cores = len(os.sched_getaffinity(0))
    return Crowd(
        rate=len(asked) / wall,
        wanted=0.9 * cores / (one.cpu / 1000),
        others=max(0.0, used.machine - used.both) / (wall * cores),
    )


async def _soak(
    nm: NeuroMemory, users: Sequence[str], embedding: PreparedEmbedding, seed: int, recalls: int
) -> dict[int, int]:
    """Return the process's memory after every tenth of so many recalls."""
    batch = Synthetic(seed + 2).questions(1_000)
    embedding.prepare(batch)
    sizes = {}
    for i in range(recalls + 1):
        if i % max(1, recalls // 10) == 0:
            sizes[i] = resident()
        await nm.recall(users[i % len(users)], batch.texts[i % len(batch.texts)])
    return sizes


async def _model(name: str | None, texts: Sequence[str]) -> dict[str, str]:
    """Return what the embedding of a question takes with a real model."""
    if name is None:
        return {}
    model = embeddings.choose(name)
    took = []
    for text in texts:
        began = time.perf_counter()
        await model.embed_query(text)
        took.append(1000 * (time.perf_counter() - began))
    await model.close()
    return {"a question's embedding": f"{median(took):.1f} ms with {name}, not in the table"}


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = command.options(__doc__)
    options.add_argument("--sizes", default="1000,10000,100000", help="memories of single users, '' for none")
    options.add_argument("--users", type=int, default=0, help="also a database of so many users")
    options.add_argument("--memories", type=int, default=1_000_000, help="of all these users together")
    options.add_argument("--shape", choices=["equal", "zipf", "both"], default="both", help="their sizes")
    options.add_argument("--batch", type=int, default=1_000, help="rows of a user that lie together")
    options.add_argument("--questions", type=int, default=100, help="per scenario")
    options.add_argument("--past", type=int, default=20, help="questions asked again with as_of")
    options.add_argument("--exact", action="store_true", help="without indexes of large users")
    options.add_argument("--crowd", type=int, default=320, help=f"questions asked {CONCURRENT} at a time")
    options.add_argument("--soak", type=int, default=0, help="recalls over which to watch the memory")
    options.add_argument("--embedding", help="also time a question's embedding with this model")
    options.add_argument("--seed", type=int, default=1, help="of texts and questions")
    options.add_argument("--home", type=Path, help="folder that keeps the embedded server's data")
    return options


if __name__ == "__main__":
    command.main(parser(), run)
