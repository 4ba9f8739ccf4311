"""Retrieval quality over several sets in one table: who wins where, and by how much.

    python benchmarks/sets.py --data locomo.json realtalk.json beam.json [--embedding local] [--json FILE]

Each file is measured as `benchmarks/retrieval.py` does, with the settings as they are: nothing is chosen per set. A
file may be in any of the formats that it reads. The last column is what `recall` finds beyond the better of its own two
retrievers, in points of evidence recall@10.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import retrieval
from benchmarks.support import command, environment
from benchmarks.support.tables import table

if TYPE_CHECKING:
    import argparse

    from benchmarks.support.metrics import Quality

ALONE = ("bm25_results", "vector_results")


@dataclass
class Report:
    """What was found in each file, as `retrieval.Report` has it."""

    facts: dict[str, str] = field(default_factory=dict)
    sets: dict[str, dict[str, dict[str, tuple[int, Quality]]]] = field(default_factory=dict)

    def text(self) -> str:
        """Return the tables: one over all sets, and one of categories for each."""
        systems = list(next(iter(self.sets.values())))
        rows: list[list[Any]] = []
        for name, found in self.sets.items():
            ten = [found[system]["all"][1].recall[10] for system in systems]
            best = max(found[system]["all"][1].recall[10] for system in ALONE)
            lead = 100 * (found[retrieval.PIPELINE]["all"][1].recall[10] - best)
            rows.append([name, found[systems[0]]["all"][0], *ten, f"{lead:+.1f}"])
        parts = [
            environment.headline(self.facts),
            table("Evidence recall@10", ["set", "questions", *systems, "points ahead"], rows),
        ]
        for name, found in self.sets.items():
            categories = [category for category in found[systems[0]] if category != "all"]
            lines = [
                [
                    category,
                    found[systems[0]][category][0],
                    *(found[s][category][1].recall[10] for s in systems),
                ]
                for category in categories
            ]
            parts.append(table(name, ["category", "questions", *systems], lines))
        return "\n\n".join(parts)


async def run(arguments: argparse.Namespace) -> Report:
    """Measure one file after the other."""
    report = Report()
    shared = retrieval.parser()
    for path in arguments.data:
        options = ["--data", str(path), "--embedding", arguments.embedding]
        if arguments.cache is not None:
            options += ["--cache", str(arguments.cache)]
        if arguments.database_url is not None:
            options += ["--database-url", arguments.database_url]
        for pair in arguments.set:
            options += ["--set", pair]
        found = await retrieval.run(shared.parse_args(options))
        report.facts |= {key: value for key, value in found.facts.items() if key != "data"}
        report.facts[path.name] = found.facts["data"]
        report.sets[path.stem] = found.systems
    return report


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    options = command.options(__doc__)
    options.add_argument("--data", type=Path, nargs="+", required=True, help="files to measure")
    options.add_argument("--embedding", default="local", help="as in retrieval.py")
    options.add_argument("--cache", type=Path, help="a folder that keeps embeddings between runs")
    options.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting")
    return options


if __name__ == "__main__":
    command.main(parser(), run)
