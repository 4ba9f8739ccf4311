"""``neuromem recall``: ask a question and print the result."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from neuromem.cli.options.database import database_options
from neuromem.cli.options.datetimes import DATETIME_FORMAT, DatetimeType
from neuromem.cli.output import print_json, print_notice, safe_text, stdout
from neuromem.domain.memory_types import RECALLED_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.domain.recall_result import RecallItem, RecallResult


@click.command(short_help="Ask what is remembered.")
@click.argument("question")
@click.option("--user", required=True, help="Whose memory.")
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(1, 10_000), help="At most so many."
)
@click.option("--type", "memory_type", type=click.Choice(RECALLED_TYPES), help="Only this type.")
@click.option("--as-of", type=DatetimeType(), help=f"Answer from what was known then ({DATETIME_FORMAT}).")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Leave out what is less relevant than this.")
@click.option("--explain", is_flag=True, help="Show each one's rank and score in every arm, and the signals.")
@click.option("--json", "as_json", is_flag=True, help="Write the whole result as JSON.")
@database_options(embedding=True)
def recall(database: DatabaseOptions, *, as_json: bool, **arguments: Any) -> None:
    """Ask what is remembered about QUESTION and show the best first.

    \b
    score      orders this answer
    relevance  can be compared between questions; --min-score looks at it
    """
    question, user = arguments.pop("question"), arguments.pop("user")
    result = asyncio.run(_recall(database, user, question, arguments))
    if as_json:
        print_json(result)
    else:
        print_result(result, explain=arguments["explain"])


async def _recall(
    database: DatabaseOptions, user: str, question: str, arguments: dict[str, Any]
) -> RecallResult:
    async with database.memory(worker=False) as memory:
        return await memory.recall(user, question, **arguments)


def print_result(result: RecallResult, *, explain: bool) -> None:
    """Print a result as a table, the best item first, with ``explain`` also why each was found."""
    items = result["merged"]
    if items:
        stdout().print(_explained(items) if explain else _brief(items))
    else:
        print_notice("Nothing was found.")
    if result["pending"]:
        print_notice(f"{result['pending']} pieces of background work are still pending.")


def _brief(items: Sequence[RecallItem]) -> Table:
    table = _table("score", "relevance", "when", "source")
    for item in items:
        table.add_row(
            f"{item['score']:.3f}",
            f"{item['relevance']:.3f}",
            _when(item),
            safe_text(item["source"]),
            safe_text(item["content"]),
        )
    return table


def _explained(items: Sequence[RecallItem]) -> Table:
    """Return a table with rank and score of each item in every arm, and its signals, under the content."""
    table = _table("score", "relevance")
    for item in items:
        why = item["explain"]
        arms = [_in_arm(name, arm) for name, arm in why["arms"].items()]
        signals = [f"{name} {signal:.2f}" for name, signal in why["signals"].items()]
        reasons = f"\n{_when(item)}   {'   '.join(arms)}\nsignals: {', '.join(signals)}"
        table.add_row(
            f"{item['score']:.3f}",
            f"{item['relevance']:.3f}",
            safe_text(item["content"]).append_text(safe_text(reasons, "dim")),
        )
    return table


def _in_arm(name: str, arm: Mapping[str, Any]) -> str:
    """Return rank and score in an arm; an arm that only adds neighbors of what others found gives no score."""
    score = f" ({arm['score']:.3g})" if arm["score"] else ""
    return f"{name} #{arm['rank']}{score}"


def _table(*narrow: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in narrow:
        table.add_column(name, no_wrap=True)
    table.add_column("content", overflow="fold")
    return table


def _when(item: RecallItem) -> str:
    moment: datetime = item["occurred_at"] or item["created_at"]
    return f"{moment:%Y-%m-%d}"
