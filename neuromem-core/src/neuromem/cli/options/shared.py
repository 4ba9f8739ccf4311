"""What the commands of the facades share: whose memory, how much of it, and how it is shown."""

from __future__ import annotations

import functools
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from neuromem.cli.options.database import place_options
from neuromem.cli.options.datetimes import FORM, Moment
from neuromem.cli.output import echo_json, note, out, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Command = Callable[..., None]


def user_options(function: Command) -> Command:
    """Give a command a place, a user, and ``--json``."""

    @click.option("--user", required=True, help="Whose memory.")
    @click.option("--json", "as_json", is_flag=True, help="Write JSON.")
    @place_options(embedding=True)
    @functools.wraps(function)
    def command(place: Any, *, user: str, **options: Any) -> None:
        function(place, user, **options)

    return command


def as_of_option(function: Command) -> Command:
    """Give a command ``--as-of``."""
    return click.option("--as-of", type=Moment(), help=f"Answer from what was known then ({FORM}).")(function)


def count_options(*, offset: bool = True, limit: int = 100) -> Callable[[Command], Command]:
    """Give a command ``--limit``, and ``--offset`` unless it pages otherwise."""

    def decorate(function: Command) -> Command:
        if offset:
            function = click.option("--offset", default=0, type=click.IntRange(0), help="Leave out so many.")(
                function
            )
        return click.option(
            "--limit",
            default=limit,
            show_default=True,
            type=click.IntRange(1, 10_000),
            help="At most so many.",
        )(function)

    return decorate


def show_json(value: Any) -> None:
    """Write values of ours, or lists of them, as JSON."""
    if isinstance(value, list | tuple):
        echo_json(
            [asdict(item) if is_dataclass(item) and not isinstance(item, type) else item for item in value]
        )
    else:
        echo_json(asdict(value) if is_dataclass(value) and not isinstance(value, type) else value)


def shown(
    items: Sequence[Any], as_json: bool, narrow: Sequence[str], row: Callable[[Any], Sequence[str]], wide: str
) -> None:
    """Show items as a table for people, its last column folded, or as JSON for programs."""
    if as_json:
        show_json(list(items))
        return
    if not items:
        note("Nothing was found.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in narrow:
        table.add_column(name, no_wrap=True)
    table.add_column(wide, overflow="fold")
    for item in items:
        table.add_row(*(plain(cell) for cell in row(item)))
    out().print(table)
