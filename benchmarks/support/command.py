"""What the command lines of the benchmarks have in common."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from dataclasses import Field


class Report(Protocol):
    """A dataclass with the numbers of a run."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def text(self) -> str:
        """Return the tables."""
        ...


def options(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have; ``doc`` is what the module says of itself."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", help="a PostgreSQL to use instead of an embedded one")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    return parser


def main(
    parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], Awaitable[Report | str]]
) -> None:
    """Run a benchmark and print what it found; of one that gives only a text the text is written."""
    arguments = parser.parse_args()

    async def measure() -> Report | str:
        return await run(arguments)

    report = asyncio.run(measure())
    print(report if isinstance(report, str) else report.text())
    if arguments.json is not None:
        numbers = {"table": report} if isinstance(report, str) else asdict(report)
        arguments.json.write_text(json.dumps(numbers, indent=1, ensure_ascii=False))
