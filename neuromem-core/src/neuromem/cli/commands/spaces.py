"""``neuromem spaces`` and ``neuromem reembed``: list and drop embedding spaces, and change the embedding model."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from neuromem.cli.options.database import database_options
from neuromem.cli.output import print_items, print_notice, print_text, progress

if TYPE_CHECKING:
    from neuromem.cli.options.database import DatabaseOptions


@click.group(short_help="Embedding models of the schema: list, drop.")
def spaces() -> None:
    """Look at the embedding models that the schema has vectors of, and drop one that is not used any more."""


@spaces.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@database_options(embedding=False)
def list_spaces(database: DatabaseOptions, *, as_json: bool) -> None:
    """List the spaces: one is active, one may be filled beside it."""

    async def run() -> list[dict[str, Any]]:
        async with database.admin() as admin:
            return await admin.spaces()

    print_items(
        asyncio.run(run()),
        as_json,
        ["space", "state", "dims"],
        lambda row: [str(row["space"]), row["state"], str(row["dims"]), f"{row['provider']}:{row['model']}"],
        "model",
    )


@spaces.command("drop")
@click.argument("space", type=click.IntRange(1, 32_767))
@database_options(embedding=False)
def drop(database: DatabaseOptions, *, space: int) -> None:
    """Delete a space that is not active, with all its vectors; interrupted, call it again."""

    async def run() -> dict[str, Any]:
        async with database.admin() as admin:
            return await admin.drop_space(space)

    done = asyncio.run(run())
    print_text(f"{done['dropped']} is dropped, with {done['vectors']} vectors.")


@click.command(short_help="Change the embedding model, without a stop.")
@database_options(embedding=True)
def reembed(database: DatabaseOptions) -> None:
    """Embed everything with the model of --embedding or the settings, and then switch to it.

    A process that has the memory open goes on with the old model until the switch, and has to be restarted with the
    new one after it. Interrupted, call it again: it goes on where it was. The old model's vectors stay until
    `neuromem spaces drop`.
    """
    asyncio.run(_reembed(database))


async def _reembed(database: DatabaseOptions) -> None:
    from neuromem.config import Settings
    from neuromem.registry import PluginRegistry

    settings = Settings.load()
    registry = PluginRegistry.discover(options=settings.plugins)
    embedding = registry.choose_embedding(database.embedding or settings.embedding).value
    found: dict[str, Any] = {}
    async with database.admin() as admin:
        with progress() as bar:
            task = bar.add_task("Embedding", total=None)
            async with aclosing(admin.reembed(embedding)) as steps:
                async for found in steps:
                    bar.update(task, completed=found["done"], total=found["entries"])
    print_text(f"{admin.place} is searched by {found['model']} now.")
    if found["failed"]:
        print_notice(
            f"{found['failed']} texts could not be embedded, the last because: {found['error']}", "yellow"
        )
