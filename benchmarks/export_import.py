"""What leaving and coming back costs: export of many memories, import into another user, and how much memory it takes.

    python benchmarks/export_import.py --memories 100000

Memories are synthetic, with words and vectors (384 dimensions). Export and import each run in a process of their own,
whose largest resident memory is shown beside what it had after opening: the difference must not grow with the memories.
What was imported is exported again, and both files must have the same rows (by hash, table by table).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import command, environment
from benchmarks.support.loading import load
from benchmarks.support.server import place
from benchmarks.support.synthetic import PreparedEmbedding, Synthetic
from benchmarks.support.tables import table
from neuromem import NeuroMemory

if TYPE_CHECKING:
    import argparse

    from benchmarks.support.server import Place

SOURCE, COPY = "alice", "bob"
DIFFERENT = {"users", "jobs"}  # a user's own name and clock; leases of work


@dataclass(frozen=True, slots=True)
class Step:
    """One step in a process of its own: seconds of wall and of its CPU, MB resident after opening and at most."""

    seconds: float
    cpu: float
    opened: float
    most: float
    told: dict[str, Any]


@dataclass
class Report:
    """What a run found."""

    facts: dict[str, str]
    steps: dict[str, Step] = field(default_factory=dict)
    size: int = 0
    equal: bool = False

    def text(self) -> str:
        """Return the table."""
        rows = [
            [name, s.seconds, s.cpu, s.opened, s.most, s.most - s.opened] for name, s in self.steps.items()
        ]
        return "\n\n".join(
            [
                environment.headline(self.facts),
                table("Moving", ["step", "s", "client cpu s", "MB opened", "MB most", "MB more"], rows),
                f"The file has {self.size / 1e6:,.1f} MB; the imported data is "
                f"{'equal' if self.equal else 'NOT EQUAL'} to the exported.",
            ]
        )


def step(what: str, url: str, schema: str, user: str, path: str) -> Step:
    """Export or import in this process."""
    return asyncio.run(_step(what, url, schema, user, path))


async def _step(what: str, url: str, schema: str, user: str, path: str) -> Step:
    async with NeuroMemory(url, PreparedEmbedding(), "none", schema=schema, worker=False) as nm:
        opened, began, cpu = _resident(), time.perf_counter(), time.process_time()
        told = await (nm.export(user, path) if what == "export" else nm.import_user_data(user, path))
        return Step(time.perf_counter() - began, time.process_time() - cpu, opened, _resident(), told)


def _resident() -> float:
    """Return the largest resident memory of this process so far, in MB (Linux).

    Not ``ru_maxrss``: that begins with what the parent had.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


async def run(arguments: argparse.Namespace) -> Report:
    """Fill, export, import, export again, compare."""
    embedding = PreparedEmbedding()
    async with place(arguments.database_url, home=arguments.home, settings={"fsync": "off"}) as where:
        await load(where, embedding, {SOURCE: arguments.memories}, Synthetic())
        facts = await environment.describe(where, embedding)
        report = Report({"memories": f"{arguments.memories:,}", **facts})
        with tempfile.TemporaryDirectory(prefix="neuromem-moving-") as folder:
            first, second = Path(folder) / "first.zip", Path(folder) / "second.zip"
            report.steps["export"] = await _apart("export", where, SOURCE, first)
            report.size = first.stat().st_size
            report.steps["import"] = await _apart("import", where, COPY, first)
            report.steps["export of the import"] = await _apart("export", where, COPY, second)
        tables = [report.steps[name].told["tables"] for name in ("export", "export of the import")]
        report.equal = all(tables[0][name] == tables[1][name] for name in tables[0].keys() - DIFFERENT)
    return report


async def _apart(what: str, where: Place, user: str, path: Path) -> Step:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return await asyncio.get_running_loop().run_in_executor(
            pool, step, what, where.url, where.schema, user, str(path)
        )


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = command.options(__doc__)
    options.add_argument("--memories", type=int, default=100_000)
    options.add_argument("--home", type=Path, help="keep the embedded database here")
    return options


if __name__ == "__main__":
    command.main(parser(), run)
