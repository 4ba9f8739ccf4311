"""What ``recall(as_of=...)`` costs, against current recalls over as many rows and over the current rows alone.

    python benchmarks/time_travel.py --memories 10000 --versions 10

Three users: one whose memories have that many versions each, one with as many memories as those versions together, all
current, and one with as many memories as there are current ones. Texts and vectors (384 dimensions) are synthetic. CPU
is that of this process and of PostgreSQL's, per call.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pgvector import HalfVector

from benchmarks.support import command, environment
from benchmarks.support.cpu import Meter, Stopwatch, Timing
from benchmarks.support.loading import load
from benchmarks.support.server import place
from benchmarks.support.synthetic import PreparedEmbedding, Synthetic
from benchmarks.support.tables import table
from neuromem import NeuroMemory
from neuromem.domain.text.indexed_text import searchable_tokens
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.database.users import begin_write
from neuromem.store.schema.migrate import prepare_schema
from neuromem.store.search_index.entries import MEMORY_KIND, IndexEntry, add_entries, close_entries
from neuromem.store.search_index.vectors import EmbeddingSpace, insert_vectors, open_space

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from benchmarks.support.server import Place

HISTORY, TOTAL, CURRENT = "history", "total", "current"
BATCH, WARM_UP = 1_000, 5

INSERT = """
    INSERT INTO {s}.memories (user_id, memory_id, version, entry, memory_type, content, content_hash,
                              created_at, occurred_at, origin)
    SELECT :user, n.id, :version, n.entry, 'fact', n.content, n.hash, :now, n.occurred_at, '{"by": "user"}'
    FROM unnest(CAST(:id AS uuid[]), CAST(:entry AS int[]), CAST(:content AS text[]), CAST(:hash AS bytea[]),
                CAST(:occurred_at AS timestamptz[])) AS n(id, entry, content, hash, occurred_at)
"""
END = """
    UPDATE {s}.memories SET superseded_at = :now, superseded_why = 'updated'
    WHERE user_id = :user AND memory_id = ANY(CAST(:id AS uuid[])) AND superseded_at IS NULL
    RETURNING entry
"""


@dataclass
class Report:
    """What a run found: the times of each kind of recall."""

    facts: dict[str, str]
    timings: dict[str, Timing] = field(default_factory=dict)

    def ratio(self, one: str, other: str) -> float:
        """Return how much more CPU one kind takes than another."""
        return self.timings[one].cpu / self.timings[other].cpu

    def text(self) -> str:
        """Return the table."""
        head = ["recall", "calls", "p50 ms", "client cpu ms", "server cpu ms", "cpu ms"]
        rows = [[name, t.calls, t.p50, t.client, t.server, t.cpu] for name, t in self.timings.items()]
        past = "as_of, half-way"
        return "\n\n".join(
            [
                environment.headline(self.facts),
                table("The past", head, rows),
                f"as_of costs {self.ratio(past, 'current, same total'):.2f} times a current recall over as many "
                f"rows, and {self.ratio(past, 'current rows alone'):.2f} times one over the current rows alone.",
            ]
        )


async def fill(where: Place, memories: int, versions: int, synthetic: Synthetic) -> list[datetime]:
    """Give a user memories of many versions each; returns a moment after each round of versions."""
    database = Database(parse_dsn(where.url), schema=where.schema, pool_size=2)
    ids = [str(uuid4()) for _ in range(memories)]
    moments: list[datetime] = []
    try:
        await prepare_schema(database, migrate=True)
        space = await open_space(database, PreparedEmbedding())
        for version in range(1, versions + 1):
            for start in range(0, memories, BATCH):
                moment = await _round(database, space, ids[start : start + BATCH], version, synthetic)
            moments.append(moment)
    finally:
        await database.close()
    return moments


async def _round(
    database: Database, space: EmbeddingSpace, ids: list[str], version: int, synthetic: Synthetic
) -> datetime:
    batch = synthetic.memories(len(ids))
    async with database.user(HISTORY) as transaction:
        moment = await begin_write(transaction, HISTORY, len(ids))
        if version > 1:
            rows = await transaction.all(END, {"user": HISTORY, "now": moment.now, "id": ids})
            await close_entries(transaction, HISTORY, [row.entry for row in rows], moment.now)
        numbers = [moment.first_entry + i for i in range(len(ids))]
        await transaction.run(
            INSERT,
            {
                "user": HISTORY,
                "version": version,
                "now": moment.now,
                "id": ids,
                "entry": numbers,
                "content": batch.texts,
                "occurred_at": batch.moments,
                "hash": [blake2b(f"{key}{version}".encode(), digest_size=16).digest() for key in ids],
            },
        )
        entries = [
            IndexEntry(number, key, searchable_tokens(text, "en"), "fact", version, occurred_at=moment_of)
            for number, key, text, moment_of in zip(numbers, ids, batch.texts, batch.moments, strict=True)
        ]
        await add_entries(transaction, HISTORY, MEMORY_KIND, entries, moment.now, embed=False)
        halves = [HalfVector(row) for row in batch.vectors]
        await insert_vectors(transaction, HISTORY, space, list(zip(numbers, halves, strict=True)))
    return moment.now


async def run(arguments: argparse.Namespace) -> Report:
    """Fill and measure, the kinds taking turns."""
    synthetic, embedding = Synthetic(), PreparedEmbedding()
    n, versions = arguments.memories, arguments.versions
    async with place(arguments.database_url, settings={"fsync": "off"}) as where:
        moments = await fill(where, n, versions, synthetic)
        await load(where, embedding, {TOTAL: n * versions, CURRENT: n}, synthetic)
        questions = synthetic.questions(arguments.questions + WARM_UP)
        embedding.prepare(questions)
        meter = await Meter.of(where)
        facts = await environment.describe(where, embedding)
        report = Report({"rows": f"{n:,} memories of {versions} versions", **facts})
        kinds = {
            "current, same total": (TOTAL, None),
            "current rows alone": (CURRENT, None),
            "history, now": (HISTORY, None),
            "as_of, after the first": (HISTORY, moments[0]),
            "as_of, half-way": (HISTORY, moments[len(moments) // 2]),
            "as_of, now": (HISTORY, moments[-1]),
        }
        watches = {name: Stopwatch(meter) for name in kinds}
        async with NeuroMemory(where.url, embedding, "none", schema=where.schema, worker=False) as nm:
            for i, text in enumerate(questions.texts):
                for name, (user, moment) in kinds.items():
                    if i < WARM_UP:
                        await nm.recall(user, text, as_of=moment)
                        continue
                    with watches[name].running():
                        await nm.recall(user, text, as_of=moment)
        report.timings = {name: watch.timing() for name, watch in watches.items()}
    return report


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = command.options(__doc__)
    options.add_argument("--memories", type=int, default=10_000)
    options.add_argument("--versions", type=int, default=10)
    options.add_argument("--questions", type=int, default=30)
    return options


if __name__ == "__main__":
    command.main(parser(), run)
