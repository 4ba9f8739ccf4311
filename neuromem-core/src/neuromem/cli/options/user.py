"""Options of commands that read or change what one user's memory holds."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from neuromem.cli.options.database import database_options
from neuromem.cli.options.datetimes import DATETIME_FORMAT, DatetimeType

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., None]


def user_options(function: Command) -> Command:
    """Add the options of a database, ``--user`` and ``--json``; the command is called with database and user first."""

    @click.option("--user", required=True, help="Whose memory.")
    @click.option("--json", "as_json", is_flag=True, help="Write JSON.")
    @database_options(embedding=True)
    @functools.wraps(function)
    def command(database: Any, *, user: str, **options: Any) -> None:
        function(database, user, **options)

    return command


def as_of_option(function: Command) -> Command:
    """Add ``--as-of``, a moment in the past."""
    return click.option(
        "--as-of", type=DatetimeType(), help=f"Answer from what was known then ({DATETIME_FORMAT})."
    )(function)


def count_options(*, offset: bool = True, limit: int = 100) -> Callable[[Command], Command]:
    """Return a decorator that adds ``--limit`` and ``--offset``.

    Args:
        offset: Whether to add ``--offset``; a command that pages by a key has none.
        limit: The default of ``--limit``.
    """

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
