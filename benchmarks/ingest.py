"""How fast neuromem takes in what is said, the embedding's own time excluded.

    python benchmarks/ingest.py
    python benchmarks/ingest.py --messages 500 --calls 20        # small

Batches go through ``conversations.add_messages_batch``, single calls through ``ingest`` and ``add_memory``, with no
LLM and no worker: a call returns when message, index and pending work are committed (the embedded server keeps
``fsync`` on unless told otherwise). Then a worker drains the queue with the hashing embedding, 384 dimensions.
CPU is that of this process and of PostgreSQL's.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import command, environment
from benchmarks.support.cpu import Meter, Stopwatch, Timing
from benchmarks.support.server import place
from benchmarks.support.statements import Statements
from benchmarks.support.synthetic import DIMS, Synthetic
from benchmarks.support.tables import table
from neuromem import NeuroMemory
from neuromem.testing import HashEmbedding
from neuromem.testing.internals import worker_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from neuromem.domain.messages import MessageDict

USERS = 100
WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Result:
    """What one way of storing takes: items a second, the calls' times, what a call sends."""

    items: int
    per_second: float
    timing: Timing
    statements: float
    trips: float


@dataclass
class Report:
    """What a run found."""

    facts: dict[str, str]
    results: dict[str, Result] = field(default_factory=dict)

    def text(self) -> str:
        """Return the table; CPU is per message, times per call."""
        rows = []
        for name, r in self.results.items():
            each = r.items / r.timing.calls
            rows.append(
                [
                    name,
                    r.items,
                    r.per_second,
                    r.timing.p50,
                    r.timing.p95,
                    r.timing.client / each,
                    r.timing.server / each,
                    1000 / (r.timing.cpu / each) if r.timing.cpu else None,
                    r.statements,
                    r.trips,
                ]
            )
        head = [
            "what",
            "items",
            "a second",
            "call p50 ms",
            "p95",
            "client cpu ms",
            "server cpu ms",
            "a second of cpu",
            "statements",
            "round trips",
        ]
        return "\n\n".join(
            [
                environment.headline(self.facts),
                table("Storing; CPU is per item, statements and round trips per call", head, rows),
            ]
        )


async def run(arguments: argparse.Namespace) -> Report:
    """Store, and drain."""
    embedding = HashEmbedding(DIMS)
    settings = {} if arguments.fsync else {"fsync": "off"}
    synthetic = Synthetic(arguments.seed)
    async with place(arguments.database_url, settings=settings) as where:
        nm = NeuroMemory(
            where.url, embedding, llm="none", schema=where.schema, worker=False, auto_extract=False
        )
        async with nm:
            meter = await Meter.of(where)
            report = Report(
                {
                    "data": f"synthetic, seed {arguments.seed}, batches of {arguments.batch}, "
                    f"fsync {'on' if arguments.fsync else 'off'}",
                    **await environment.describe(where, embedding),
                }
            )
            counted = Statements(nm)
            for name, users in (("batches, one user", 1), (f"batches, {USERS} users", USERS)):
                batches = list(_batches(synthetic, arguments.messages, arguments.batch))

                async def store(i: int, batches: Sequence[Batch] = batches, users: int = users) -> int:
                    batch = batches[i]
                    await nm.conversations.add_messages_batch(f"of-{users}-{i % users}", batch, "history")
                    return len(batch)

                report.results[name] = await _timed(meter, counted, len(batches), store)
            texts = iter(synthetic.memories(2 * (arguments.calls + WARM_UP)).texts)

            async def ingest(_: int) -> int:
                await nm.ingest("single", "user", next(texts), "chat", name="Ann")
                return 1

            async def remember(_: int) -> int:
                await nm.add_memory("single", next(texts), "fact")
                return 1

            for label, call in (("ingest()", ingest), ("add_memory()", remember)):
                for i in range(WARM_UP):
                    await call(i)
                report.results[label] = await _timed(meter, counted, arguments.calls, call)
        async with NeuroMemory(
            where.url, embedding, llm="none", schema=where.schema, worker=False, auto_extract=False
        ) as nm:
            counted = Statements(nm)
            waiting = sum(result.items for result in report.results.values()) + 2 * WARM_UP

            async def drain(_: int) -> int:
                worker_of(nm).start()
                left = await nm.drain()
                return waiting - left

            report.results["embedding the queue"] = await _timed(meter, counted, 1, drain)
    return report


Batch = list["MessageDict"]


def _batches(synthetic: Synthetic, messages: int, size: int) -> Iterator[Batch]:
    for begin in range(0, messages, size):
        made = synthetic.memories(min(size, messages - begin))
        yield [
            {"role": "user", "content": text, "name": "Ann", "occurred_at": moment}
            for text, moment in zip(made.texts, made.moments, strict=True)
        ]


async def _timed(
    meter: Meter, counted: Statements, calls: int, call: Callable[[int], Awaitable[int]]
) -> Result:
    watch = Stopwatch(meter)
    counted.reset()
    items = 0
    for i in range(calls):
        with watch.running():
            items += await call(i)
    return Result(
        items, items / watch.seconds, watch.timing(), counted.statements / calls, counted.trips / calls
    )


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = command.options(__doc__)
    options.add_argument("--messages", type=int, default=10_000, help="stored in batches, twice")
    options.add_argument("--batch", type=int, default=100, help="messages in one call")
    options.add_argument("--calls", type=int, default=300, help="of ingest() and of add_memory()")
    options.add_argument("--no-fsync", dest="fsync", action="store_false", help="do not wait for the disk")
    options.add_argument("--seed", type=int, default=1, help="of the texts")
    return options


if __name__ == "__main__":
    command.main(parser(), run)
