"""``neuromem reextract``: show what another model, prompt or schema would extract, and apply it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from neuromem.cli.options.datetimes import DatetimeType
from neuromem.cli.options.user import user_options
from neuromem.cli.output import print_json, print_notice, print_text

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.cli.options.database import DatabaseOptions


@click.command(short_help="Extract messages again, with another model.")
@click.option("--llm", metavar="NAME[:MODEL]", help="LLM to extract with; default: NEUROMEM_LLM, else none.")
@click.option("--session", help="Only the messages of this session.")
@click.option("--after", type=DatetimeType(), help="Only what was said then or later.")
@click.option("--before", type=DatetimeType(), help="Only what was said before.")
@click.option("--apply", is_flag=True, help="Change it; without, nothing is stored.")
@user_options
def reextract(
    database: DatabaseOptions,
    user: str,
    *,
    llm: str | None,
    session: str | None,
    after: datetime | None,
    before: datetime | None,
    apply: bool,
    as_json: bool,
) -> None:
    """Extract the messages of a user again, and show what is different from what is known.

    The model is asked either way, and another run of it may say other things. What a person made, changed, pinned or
    deleted stays as it is.
    """
    where = {"session_id": session, "after": after, "before": before}

    async def run() -> dict[str, Any]:
        async with database.memory(llm=llm) as memory:
            return await memory.reextract(user, where, dry_run=not apply)

    report = asyncio.run(run())
    if as_json:
        print_json(report)
        return
    for mark, line, style in _lines(report):
        print_text(f"{mark} {line}", style)
    print_text(
        f"{report['messages']} messages were read again; {report['unchanged']} memories are as they were."
    )
    if not apply:
        print_notice("Nothing was changed: --apply does.", "yellow")


def _lines(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return mark, text and style for what is added (+), lost (-), changed (~) or kept although it differs (=)."""
    lines = [("+", one["content"], "green") for one in report["added"]]
    lines += [("~", f"{one['before']} => {one['after']}", "yellow") for one in report["changed"]]
    lines += [("-", one["content"], "red") for one in report["lost"]]
    lines += [
        ("=", f"{one['content'] or 'what was deleted'} (instead of: {one['instead_of']})", "")
        for one in report["kept"]
    ]
    for mark, name, style in (("+", "added", "green"), ("~", "changed", "yellow"), ("-", "lost", "red")):
        lines += [(mark, text, style) for text in report["relations"].get(name, ())]
    lines += [
        ("~", f"profile {key}: {one['before']} => {one['after']}", "yellow")
        for key, one in report["profile"].items()
    ]
    return lines
