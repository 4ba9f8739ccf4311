"""What commands show: results go to stdout, progress and notets to stderr."""

from __future__ import annotations

import json
import logging
from datetime import date
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from typing import IO


def out() -> Console:
    """Return the console of results; colors only on a terminal."""
    return Console(highlight=False)


def err() -> Console:
    """Return the console of everything else."""
    return Console(stderr=True, highlight=False)


def progress() -> Progress:
    """Return progress bars on stderr, invisible when that is no terminal."""
    console = err()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def tell(text: str, style: str = "") -> None:
    """Write a paragraph to stdout; a terminal wraps it, a file gets it whole."""
    out().print(plain(text, style), soft_wrap=True)


def note(text: str, style: str = "") -> None:
    """Write a paragraph to stderr."""
    err().print(plain(text, style), soft_wrap=True)


def plain(text: str, style: str = "") -> Text:
    """Return what somebody else wrote so that it can neither style nor steer the terminal."""
    return Text(
        "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text), style
    )


def echo_json(value: Any) -> None:
    """Write JSON, and nothing else, to stdout; moments in ISO 8601."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_json))


def _json(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


class Failure(click.ClickException):
    """Ends the command with one sentence on stderr."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence."""
        del file
        note(self.message, "red")


class LogLine(logging.Formatter):
    """One line per record: the error's own sentence instead of its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        error = record.exc_info[1] if record.exc_info else None
        return f"{record.levelname.lower()}: {record.getMessage()}{f' ({error})' if error else ''}"


class LogToScreen(logging.Handler):
    """Writes the log of neuromem to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        note(self.format(record), "yellow" if record.levelno < logging.ERROR else "red")


def log_to_screen(*, debug: bool) -> None:
    """Show what neuromem logs: warnings in a line each, or with ``debug`` everything with its tracebacks."""
    handler = LogToScreen()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s") if debug else LogLine())
    logger = logging.getLogger("neuromem")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
