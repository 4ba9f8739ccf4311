"""Databases that are copied from a migrated template, for tests: a copy takes milliseconds, a migration does not."""

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
    """Makes databases on one server.

    ``administrator`` returns the URL of a database for a role that may create others, ``user`` for the one that uses
    them and shall own them.
    """

    administrator: Callable[[str], str]
    user: Callable[[str], str]
    admin: str = "postgres"

    async def make_template(self) -> str:
        """Create a database with a migrated, empty schema ``neuromem``; returns its name."""
        name = await self._create("")
        database = Database(parse_dsn(self.user(name)), pool_size=1)
        try:
            await prepare_schema(database, migrate=True)
        finally:
            await database.close()
        return name

    async def copy(self, template: str) -> str:
        """Create a copy of a database that nobody is connected to; returns its name."""
        return await self._create(f"TEMPLATE {template} STRATEGY FILE_COPY")

    async def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        await self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _create(self, how: str) -> str:
        name, owner = f"t{uuid4().hex[:16]}", urlsplit(self.user(self.admin)).username
        owned = f'OWNER "{owner}"' if owner else ""
        await self._run(f"CREATE DATABASE {name} {owned} {how}")
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
    """Return copies on the server of a URL, whose role creates, owns and uses them."""
    parts = urlsplit(address)

    def database(name: str) -> str:
        return parts._replace(path="/" + quote(name, safe="")).geturl()

    return TemplateDatabases(database, database, parts.path.lstrip("/") or "postgres")
