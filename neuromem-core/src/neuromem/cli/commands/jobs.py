"""``neuromem jobs``: what background work waits, failed or was given up, and trying it again."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from neuromem.cli.options.database import place_options
from neuromem.cli.options.shared import shown
from neuromem.cli.output import tell

if TYPE_CHECKING:
    from neuromem.cli.options.database import Place

FIELDS = ["message", "session", "state", "attempts", "next_try", "why"]


@click.group(short_help="Background work: look at it, try it again.")
def jobs() -> None:
    """Look at the background work, and try again what failed."""


@jobs.command("list")
@click.option("--user", help="Show this user's messages whose extraction is not over, one by one.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@place_options(embedding=True)
def list_jobs(place: Place, *, user: str | None, limit: int, as_json: bool) -> None:
    """List the work by kind, or a user's messages that are not extracted, with state and error."""
    if user is None:
        rows = asyncio.run(_queue(place))
        shown(
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
    rows = asyncio.run(_messages(place, user, limit))
    shown(rows, as_json, FIELDS[:-1], lambda row: [_cell(row[name]) for name in FIELDS], FIELDS[-1])


@jobs.command("retry")
@click.option("--user", help="Only this user's; default: everybody's.")
@click.option("--kind", help="Only jobs of this kind, as `neuromem jobs list` names it; default: all.")
@click.option("--max-retries", type=click.IntRange(1, 1_000), default=3, show_default=True)
@place_options(embedding=True)
def retry(place: Place, *, user: str | None, kind: str | None, max_retries: int) -> None:
    """Try again what failed or was given up; a worker, or the next process that opens this memory, does it."""

    async def run() -> dict[str, int]:
        async with place.memory(worker=False) as memory:
            return await memory.retry_failed_jobs(user, kind, max_retries)

    retried = asyncio.run(run())
    told = ", ".join(f"{number} {kind}" for kind, number in retried.items())
    tell(f"Tried again: {told}." if retried else "There is nothing to try again.")


async def _queue(place: Place) -> list[dict[str, Any]]:
    async with place.admin() as admin:
        return [asdict(queue) for queue in await admin.queue()]


async def _messages(place: Place, user: str, limit: int) -> list[dict[str, Any]]:
    async with place.memory(worker=False) as memory:
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
