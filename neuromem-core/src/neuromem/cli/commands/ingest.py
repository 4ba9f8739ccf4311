"""``neuromem ingest``: import messages from a file of JSON Lines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from neuromem.cli.imports.jsonl import MessageFile, batches, seekable
from neuromem.cli.options.database import database_options
from neuromem.cli.output import CommandError, print_text, progress, stderr
from neuromem.domain import validation
from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress

    from neuromem.cli.imports.jsonl import Line
    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.memory import NeuroMemory

MAX_FAILURES = 3  # calls that fail in a row before the command ends


@click.command(short_help="Import a history of messages.")
@click.argument("file", type=click.File("rb"))
@click.option("--user", required=True, help="Whose memory.")
@click.option(
    "--no-wait",
    is_flag=True,
    help="Leave embedding and extraction to the next process that opens this memory.",
)
@database_options(embedding=True)
def ingest(database: DatabaseOptions, file: IO[bytes], *, user: str, no_wait: bool) -> None:
    """Import FILE, JSON Lines with one message each; "-" reads stdin.

    \b
    role      user, assistant, system or tool           (required)
    content   what was said                             (required)
    session   the conversation it belongs to            (default: the name of the file)
    speaker   who said it; "name" does as well
    date      when; "occurred_at" does as well          (default: now)
    id        what makes the message unique in its session
    metadata  an object, to be kept and filtered by
    language  such as "en" or "zh"

    Dates are ISO 8601, such as 2023-05-08T13:56:00+02:00; one without a zone is taken as UTC. Everything is
    checked before anything is stored. Running it again, also after it was killed or when lines were appended,
    stores nothing twice.
    """
    from neuromem.config import Settings

    validation.user_id(user)
    name = "stdin" if file.name == "<stdin>" or not file.seekable() else file.name
    most = Settings.load().max_content
    history = MessageFile(seekable(file), user, name=name, session=Path(name).stem, most=most)
    with stderr().status("Checking", spinner_style="dim"):
        count = history.check()
    asyncio.run(_ingest(database, history, user, count, wait=not no_wait))
    waiting = " The rest is left to the next process that opens this memory." if no_wait else ""
    print_text(f"{count} messages are stored for user {user!r}.{waiting}")


async def _ingest(
    database: DatabaseOptions, history: MessageFile, user: str, count: int, *, wait: bool
) -> None:
    calls = _Calls()
    async with database.memory(
        worker=wait, on_embedding_call=calls.record, on_llm_call=calls.record
    ) as memory:
        with progress() as bars:
            stored = bars.add_task("Storing", total=count)
            for batch in batches(history.lines()):
                for session, lines in batch.items():
                    await _store(memory, user, session, lines)
                    bars.advance(stored, len(lines))
            if wait:
                await _wait_for_work(memory, user, bars, calls)


async def _store(memory: NeuroMemory, user: str, session: str, lines: list[Line]) -> None:
    try:
        await memory.conversations.add_messages_batch(user, [line.message for line in lines], session)
    except InputError as error:
        where = f"lines {lines[0].number} to {lines[-1].number}, session {session!r}"
        raise InputError(f"{where}: {error} What came before them is stored.") from error


async def _wait_for_work(memory: NeuroMemory, user: str, bars: Progress, calls: _Calls) -> None:
    left = await memory.drain(user, timeout=1.0)
    task = bars.add_task("Working on it", total=left, visible=bool(left))
    while left:
        if calls.hopeless:
            raise CommandError(
                f"All messages are stored and can be found by their words, but {left} pieces of background work "
                f"are left, and calls keep failing: {calls.error} Mend that and run the same command again."
            )
        total = max(left, int(bars.tasks[task].total or 0))
        bars.update(task, total=total, completed=total - left)
        left = await memory.drain(user, timeout=1.0)
    bars.update(task, completed=bars.tasks[task].total)


class _Calls:
    """Counts failing calls of the embedding and the LLM, to end the command when they keep failing."""

    def __init__(self) -> None:
        self.failures = 0
        self.error = ""

    def record(self, event: Mapping[str, Any]) -> None:
        """Record a call; one that succeeds resets the count."""
        self.failures = 0 if event["success"] else self.failures + 1
        self.error = event["error"] or self.error

    @property
    def hopeless(self) -> bool:
        """Whether the last calls have all failed. A worker goes on trying; a person at a terminal need not wait."""
        return self.failures >= MAX_FAILURES
