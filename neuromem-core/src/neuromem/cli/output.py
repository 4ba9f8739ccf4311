"""What commands print: results go to stdout; progress, notices, warnings and errors to stderr."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, is_dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO


def stdout() -> Console:
    """Return the console that writes to stdout, with colors on a terminal only."""
    return Console(highlight=False)


def stderr() -> Console:
    """Return the console that writes to stderr."""
    return Console(stderr=True, highlight=False)


def progress() -> Progress:
    """Return progress bars on stderr; they are invisible when stderr is no terminal."""
    console = stderr()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def print_text(text: str, style: str = "") -> None:
    """Print a paragraph of the result to stdout; a terminal wraps it, a file gets it in one line."""
    stdout().print(safe_text(text, style), soft_wrap=True)


def print_notice(text: str, style: str = "") -> None:
    """Print a notice to stderr: what is not part of the result."""
    stderr().print(safe_text(text, style), soft_wrap=True)


def safe_text(text: str, style: str = "") -> Text:
    """Return a text as it is safe to print: markup is not interpreted, control characters are replaced."""
    return Text(
        "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text), style
    )


def print_json(value: Any) -> None:
    """Print JSON, and nothing else, to stdout; dataclasses become objects, moments ISO 8601."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_json))


def _json(value: object) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def print_items(
    items: Sequence[Any], as_json: bool, narrow: Sequence[str], row: Callable[[Any], Sequence[str]], wide: str
) -> None:
    """Print items as a table for people or as JSON for programs.

    Args:
        items: What was found.
        as_json: Print a JSON array of all items with all of their fields.
        narrow: Titles of the columns that are never wrapped.
        row: Returns the cells of an item: those of the narrow columns, then that of the last one.
        wide: Title of the last column, which is wrapped to the width of the terminal.
    """
    if as_json:
        print_json(list(items))
        return
    if not items:
        print_notice("Nothing was found.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in narrow:
        table.add_column(name, no_wrap=True)
    table.add_column(wide, overflow="fold")
    for item in items:
        table.add_row(*(safe_text(cell) for cell in row(item)))
    stdout().print(table)


class CommandError(click.ClickException):
    """Ends the command with one sentence on stderr."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence."""
        del file
        print_notice(self.message, "red")


class OneLineFormatter(logging.Formatter):
    """Formats a record as one line, with the message of its error instead of the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        error = record.exc_info[1] if record.exc_info else None
        return f"{record.levelname.lower()}: {record.getMessage()}{f' ({error})' if error else ''}"


class LogPrinter(logging.Handler):
    """Writes the log of neuromem to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        print_notice(self.format(record), "yellow" if record.levelno < logging.ERROR else "red")


def print_log(*, debug: bool) -> None:
    """Print the log of neuromem to stderr.

    Args:
        debug: Print every record with its tracebacks; otherwise warnings and errors, one line each.
    """
    handler = LogPrinter()
    handler.setFormatter(
        logging.Formatter("%(levelname)s %(name)s: %(message)s") if debug else OneLineFormatter()
    )
    logger = logging.getLogger("neuromem")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
