"""``neuromem jobs``: list background work that waits, failed or was given up, and retry it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from neuromem.cli.options.database import database_options
from neuromem.cli.output import print_items, print_text

if TYPE_CHECKING:
    from neuromem.cli.options.database import DatabaseOptions

FIELDS = ["message", "session", "state", "attempts", "next_try", "why"]


@click.group(short_help="Background work: look at it, try it again.")
def jobs() -> None:
    """Look at the background work, and try again what failed."""


@jobs.command("list")
@click.option("--user", help="Show this user's messages whose extraction is not over, one by one.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@database_options(embedding=True)
def list_jobs(database: DatabaseOptions, *, user: str | None, limit: int, as_json: bool) -> None:
    """List the work by kind, or a user's messages that are not extracted, with state and error."""
    if user is None:
        rows = asyncio.run(_queue(database))
        print_items(
            rows,
            as_json,
            ["kind", "capability", "open", "given up"],
            lambda row: [
                row["kind"],
                row["capability"],
                str(row["open"]),
                str(row["dead"]),
                row["error"] or "",
            ],
            "last error",
        )
        return
    rows = asyncio.run(_messages(database, user, limit))
    print_items(rows, as_json, FIELDS[:-1], lambda row: [_cell(row[name]) for name in FIELDS], FIELDS[-1])


@jobs.command("retry")
@click.option("--user", help="Only this user's; default: everybody's.")
@click.option("--kind", help="Only jobs of this kind, as `neuromem jobs list` names it; default: all.")
@click.option("--max-retries", type=click.IntRange(1, 1_000), default=3, show_default=True)
@database_options(embedding=True)
def retry(database: DatabaseOptions, *, user: str | None, kind: str | None, max_retries: int) -> None:
    """Try again what failed or was given up; a worker, or the next process that opens this memory, does it."""

    async def run() -> dict[str, int]:
        async with database.memory(worker=False) as memory:
            return await memory.retry_failed_jobs(user, kind, max_retries)

    retried = asyncio.run(run())
    kinds = ", ".join(f"{number} {kind}" for kind, number in retried.items())
    print_text(f"Tried again: {kinds}." if retried else "There is nothing to try again.")


async def _queue(database: DatabaseOptions) -> list[dict[str, Any]]:
    async with database.admin() as admin:
        return [asdict(queue) for queue in await admin.queue()]


async def _messages(database: DatabaseOptions, user: str, limit: int) -> list[dict[str, Any]]:
    async with database.memory(worker=False) as memory:
        found = await memory.conversations.get_unextracted_messages(user, limit=limit)
    rows = []
    for message in found:
        state = message.extraction
        assert state is not None  # that is what was asked for
        values = (message.id, message.session_id, state.state, state.attempts, state.next_try, state.why)
        rows.append(dict(zip(FIELDS, values, strict=True)))
    return rows


def _cell(value: object) -> str:
    return (
        "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
    )
