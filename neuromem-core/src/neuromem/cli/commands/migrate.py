"""``neuromem migrate``: bring the schema up to date, or show what that would do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from neuromem.cli.options.database import place_options
from neuromem.cli.output import note, tell

if TYPE_CHECKING:
    from neuromem.cli.options.database import Place
    from neuromem.store.schema.migrate import MigrationPlan


@click.command(short_help="Bring the database's schema up to date.")
@click.option("--plan", is_flag=True, help="Only show what would be done.")
@place_options(embedding=False)
def migrate(place: Place, *, plan: bool) -> None:
    """Bring the schema up to date; a NeuroMemory does the same when it opens, unless auto_migrate=False.

    Migrations only go forward. Any number of processes may run this at once.
    """
    where, found = asyncio.run(_migrate(place, only_plan=plan))
    for revision, title in found.pending:
        tell(f"{revision}  {title}")
    if not found.pending:
        note(f"{where} is up to date (revision {found.current}).")
    elif plan:
        note(f"{len(found.pending)} to come at {where} (now: {found.current or 'empty'}).")
    else:
        note(f"{where} was brought from {found.current or 'empty'} up to date.")


async def _migrate(place: Place, *, only_plan: bool) -> tuple[str, MigrationPlan]:
    async with place.admin() as admin:
        return admin.place, await (admin.plan() if only_plan else admin.migrate())
