"""Options of every command that opens a database."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from neuromem.admin import Admin
    from neuromem.memory import NeuroMemory


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """What the options say about the database; None leaves a value to the settings.

    Attributes:
        database_url: The PostgreSQL to use. It may contain a password and is left out of the repr.
        schema: The schema that holds the memory.
        pooler: "transaction" when the URL leads to a pooler in transaction mode.
        embedding: Name of the embedding provider, with a model after a colon.
    """

    database_url: str | None = field(repr=False)
    schema: str
    pooler: Literal["transaction"] | None
    embedding: str | None = None

    def memory(self, **arguments: Any) -> NeuroMemory:
        """Return a NeuroMemory on this database, not yet open; ``arguments`` go to its constructor."""
        from neuromem.memory import NeuroMemory

        return NeuroMemory(
            self.database_url, self.embedding, schema=self.schema, pooler=self.pooler, **arguments
        )

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Admin]:
        """Open the schema for what an administrator does; broken plugins are left out instead of being an error."""
        from neuromem.admin import open_admin
        from neuromem.config import Settings
        from neuromem.registry import PluginRegistry

        settings = Settings.load()
        registry = PluginRegistry.discover(options=settings.plugins, strict=False)
        opening: AbstractAsyncContextManager[Admin] = open_admin(
            registry, settings, database_url=self.database_url, schema=self.schema, pooler=self.pooler
        )
        async with opening as admin:
            yield admin


def database_options(*, embedding: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds ``--database-url``, ``--schema`` and ``--pooler``.

    The command gets them as one `DatabaseOptions`, its first argument.

    Args:
        embedding: Whether to add ``--embedding`` too.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @click.option(
            "--database-url",
            metavar="URL",
            help="PostgreSQL to use; default: NEUROMEM_DATABASE_URL (which no process list shows), else the "
            "database of the installed plugin.",
        )
        @click.option("--schema", default="neuromem", show_default=True, help="Schema in that database.")
        @click.option(
            "--pooler",
            type=click.Choice(["transaction"]),
            help="Say so when the URL leads to pgbouncer or its like in transaction mode.",
        )
        @functools.wraps(function)
        def command(*args: Any, **options: Any) -> None:
            names = ("database_url", "schema", "pooler", *(["embedding"] if embedding else []))
            function(DatabaseOptions(**{name: options.pop(name) for name in names}), *args, **options)

        if embedding:
            return click.option(
                "--embedding",
                metavar="NAME[:MODEL]",
                help="Embedding provider; default: NEUROMEM_EMBEDDING, else that of the installed plugin.",
            )(command)
        return command

    return decorate
