"""Databases copied from a migrated template, for tests: copying takes milliseconds, migrating takes far longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from uuid import uuid4

import asyncpg

from neuromem.errors import DatabaseError, DatabaseUnavailableError
from neuromem.store.database.connection import DRIVER_ERRORS
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.schema.migrate import prepare_schema

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class TemplateDatabases:
    """Creates and drops databases on one server.

    Attributes:
        administrator: Returns the URL of a database by its name, for a role that may create databases.
        user: The same for the role that uses the new databases and owns them.
        admin: The name of the database to connect to in order to create others.
    """

    administrator: Callable[[str], str]
    user: Callable[[str], str]
    admin: str = "postgres"

    async def make_template(self) -> str:
        """Create a database with a migrated, empty schema ``neuromem``; return its name."""
        name = await self._create("")
        database = Database(parse_dsn(self.user(name)), pool_size=1)
        try:
            await prepare_schema(database, migrate=True)
        finally:
            await database.close()
        return name

    async def copy(self, template: str) -> str:
        """Create a copy of a database that has no connections; return its name."""
        return await self._create(f"TEMPLATE {template} STRATEGY FILE_COPY")

    async def drop(self, name: str) -> None:
        """Drop a database and end its connections."""
        await self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _create(self, options: str) -> str:
        name, owner = f"t{uuid4().hex[:16]}", urlsplit(self.user(self.admin)).username
        owned = f'OWNER "{owner}"' if owner else ""
        await self._run(f"CREATE DATABASE {name} {owned} {options}")
        return name

    async def _run(self, statement: str) -> None:
        target = parse_dsn(self.administrator(self.admin))
        try:
            connection = await asyncpg.connect(target.dsn, timeout=target.connect_timeout)
        except (*DRIVER_ERRORS, TimeoutError) as error:
            raise DatabaseUnavailableError(
                f"The server for tests at {target.label} cannot be reached: {type(error).__name__}."
            ) from error
        try:
            await connection.execute(statement)
        except asyncpg.PostgresError as error:
            raise DatabaseError(
                f"The server for tests at {target.label} refused: {error}. Its role needs CREATEDB."
            ) from error
        finally:
            await connection.close()


def template_databases_on(address: str) -> TemplateDatabases:
    """Return template databases on the server of a URL, whose role creates, owns and uses them."""
    parts = urlsplit(address)

    def database(name: str) -> str:
        return parts._replace(path="/" + quote(name, safe="")).geturl()

    return TemplateDatabases(database, database, parts.path.lstrip("/") or "postgres")
