"""``neuromem recall``: ask what is remembered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from neuromem.cli.options.database import place_options
from neuromem.cli.options.datetimes import FORM, Moment
from neuromem.cli.output import echo_json, note, out, plain
from neuromem.domain.memory_types import RECALLED_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.cli.options.database import Place
    from neuromem.domain.recall_result import RecallItem, RecallResult


@click.command(short_help="Ask what is remembered.")
@click.argument("question")
@click.option("--user", required=True, help="Whose memory.")
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(1, 10_000), help="At most so many."
)
@click.option("--type", "memory_type", type=click.Choice(RECALLED_TYPES), help="Only this type.")
@click.option("--as-of", type=Moment(), help=f"Answer from what was known then ({FORM}).")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Leave out what is less relevant than this.")
@click.option("--explain", is_flag=True, help="Show each one's rank and score in every arm, and the signals.")
@click.option("--json", "as_json", is_flag=True, help="Write the whole result as JSON.")
@place_options(embedding=True)
def recall(place: Place, *, as_json: bool, **arguments: Any) -> None:
    """Ask what is remembered about QUESTION and show the best first.

    \b
    score      orders this answer
    relevance  can be compared between questions; --min-score looks at it
    """
    question, user = arguments.pop("question"), arguments.pop("user")
    result = asyncio.run(_recall(place, user, question, arguments))
    if as_json:
        echo_json(result)
    else:
        show(result, explain=arguments["explain"])


async def _recall(place: Place, user: str, question: str, arguments: dict[str, Any]) -> RecallResult:
    async with place.memory(worker=False) as memory:
        return await memory.recall(user, question, **arguments)


def show(result: RecallResult, *, explain: bool) -> None:
    """Print the answer as a table, best first."""
    items = result["merged"]
    if items:
        out().print(_explained(items) if explain else _brief(items))
    else:
        note("Nothing was found.")
    if result["pending"]:
        note(f"{result['pending']} pieces of background work are still pending.")


def _brief(items: Sequence[RecallItem]) -> Table:
    table = _table("score", "relevance", "when", "source")
    for item in items:
        table.add_row(
            f"{item['score']:.3f}",
            f"{item['relevance']:.3f}",
            _when(item),
            plain(item["source"]),
            plain(item["content"]),
        )
    return table


def _explained(items: Sequence[RecallItem]) -> Table:
    """Under each content stand its rank and own score in every arm, and the signals in [0, 1]."""
    table = _table("score", "relevance")
    for item in items:
        why = item["explain"]
        arms = [_in_arm(name, arm) for name, arm in why["arms"].items()]
        signals = [f"{name} {signal:.2f}" for name, signal in why["signals"].items()]
        reasons = f"\n{_when(item)}   {'   '.join(arms)}\nsignals: {', '.join(signals)}"
        table.add_row(
            f"{item['score']:.3f}",
            f"{item['relevance']:.3f}",
            plain(item["content"]).append_text(plain(reasons, "dim")),
        )
    return table


def _in_arm(name: str, arm: Mapping[str, Any]) -> str:
    """Return rank and score in an arm; one that only adds neighbors of what others found gives no score."""
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
