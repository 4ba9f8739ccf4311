"""``neuromem migrate``: bring the schema up to date, or show what that would do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from neuromem.cli.options.database import database_options
from neuromem.cli.output import print_notice, print_text

if TYPE_CHECKING:
    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.store.schema.migrate import MigrationPlan


@click.command(short_help="Bring the database's schema up to date.")
@click.option("--plan", is_flag=True, help="Only show what would be done.")
@database_options(embedding=False)
def migrate(database: DatabaseOptions, *, plan: bool) -> None:
    """Bring the schema up to date; a NeuroMemory does the same when it opens, unless auto_migrate=False.

    Migrations only go forward. Any number of processes may run this at once.
    """
    where, found = asyncio.run(_migrate(database, only_plan=plan))
    for revision, title in found.pending:
        print_text(f"{revision}  {title}")
    if not found.pending:
        print_notice(f"{where} is up to date (revision {found.current}).")
    elif plan:
        print_notice(f"{len(found.pending)} to come at {where} (now: {found.current or 'empty'}).")
    else:
        print_notice(f"{where} was brought from {found.current or 'empty'} up to date.")


async def _migrate(database: DatabaseOptions, *, only_plan: bool) -> tuple[str, MigrationPlan]:
    async with database.admin() as admin:
        return admin.place, await (admin.plan() if only_plan else admin.migrate())
