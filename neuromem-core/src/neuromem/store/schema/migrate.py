"""Brings the schema to the version that this code needs, safely from any number of processes."""

from __future__ import annotations

import asyncio
import io
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import exc, text

from neuromem.errors import MigrationError
from neuromem.store.database.connection import DRIVER_ERRORS, driver_error, translate_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from neuromem.store.database.database import Database

MIN_POSTGRES = 16
MIN_PGVECTOR = (0, 7)

# Alembic hands `context` and `op` to migrations through globals of the process, so only one may run in it.
_ALEMBIC = threading.Lock()


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """The schema's revision (None: empty) and the revisions that are still to come, oldest first."""

    current: str | None
    pending: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Extension:
    """pgvector's version and its schema, as it is named and as a search path quotes it."""

    version: tuple[int, int]
    schema: str
    search_path: str


async def prepare_schema(database: Database, *, migrate: bool) -> None:
    """Check the server, then migrate the schema, or with ``migrate=False`` insist that it is up to date.

    Everything happens in one transaction under an advisory lock: of several processes that start at once, one
    works and the others find it done.
    """
    try:
        async with database.engine.begin() as connection:
            await _check_server(connection)
            if migrate:
                key = int.from_bytes(blake2b(database.schema.encode(), digest_size=8).digest(), signed=True)
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
                await _create_extension(connection)
            extension = await _extension(connection)
            plan = await connection.run_sync(_plan, database.schema)
            if plan.pending and not migrate:
                raise MigrationError(
                    f"Schema {database.schema!r} at {database.target.label} is at revision {plan.current}, "
                    f"{len(plan.pending)} behind; run `neuromem migrate` or open it with auto_migrate=True."
                )
            if plan.pending:
                await _create_schema(connection, database)
                await connection.execute(
                    text("SELECT set_config('search_path', :path, true)"),
                    {"path": extension.search_path},
                )
                async with _only_one_here():
                    await connection.run_sync(_upgrade, database.schema)
        database.found_extension(extension.version, extension.schema, extension.search_path)
    except DRIVER_ERRORS as error:
        cause = driver_error(error)
        if isinstance(cause, asyncpg.InsufficientPrivilegeError):
            raise MigrationError(
                f"The role may not use or change schema {database.schema!r} at {database.target.label}: "
                f"{cause}. Open it with the role that owns the schema, or have an administrator run, once: "
                f'ALTER SCHEMA "{database.schema}" OWNER TO <role>;'
            ) from error
        raise translate_error(error, database.target) from error


async def migration_plan(database: Database) -> MigrationPlan:
    """Return what a migration would do."""
    try:
        async with database.engine.connect() as connection:
            return await connection.run_sync(_plan, database.schema)
    except DRIVER_ERRORS as error:
        raise translate_error(error, database.target) from error


@asynccontextmanager
async def _only_one_here() -> AsyncIterator[None]:
    while not _ALEMBIC.acquire(blocking=False):  # noqa: ASYNC110  loops of other threads take it too
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        _ALEMBIC.release()


async def _check_server(connection: AsyncConnection) -> None:
    number = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
    if number < MIN_POSTGRES * 10_000:
        raise MigrationError(
            f"The server is PostgreSQL {number // 10_000}; neuromem needs {MIN_POSTGRES} or newer."
        )


async def _create_extension(connection: AsyncConnection) -> None:
    if await _installed(connection) is not None:
        return
    try:
        async with connection.begin_nested():
            await connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except exc.DBAPIError as error:
        if await _installed(connection) is not None:  # somebody else was faster
            return
        database = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        raise MigrationError(
            f"Database {database!r} has no pgvector and this role may not create it. An administrator must "
            "run, once, in that database: CREATE EXTENSION vector;   "
            f"(PostgreSQL said: {driver_error(error)})"
        ) from error


async def _installed(connection: AsyncConnection) -> tuple[str, str, str] | None:
    """Return pgvector's version and the schema it lives in, as it is and quoted."""
    row = (
        await connection.execute(
            text(
                "SELECT e.extversion, n.nspname, quote_ident(n.nspname) FROM pg_extension e "
                "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
            )
        )
    ).first()
    return None if row is None else (row[0], row[1], row[2])


async def _extension(connection: AsyncConnection) -> _Extension:
    found = await _installed(connection)
    if found is None:
        raise MigrationError(
            "The database has no pgvector. An administrator must run, once: CREATE EXTENSION vector;"
        )
    version, schema, search_path = found
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) < MIN_PGVECTOR:
        raise MigrationError(
            f"The database has pgvector {version}; neuromem needs 0.7 or newer. After installing it, an "
            "administrator must run: ALTER EXTENSION vector UPDATE;"
        )
    return _Extension((major, minor), schema, search_path)


async def _create_schema(connection: AsyncConnection, database: Database) -> None:
    exists = await connection.execute(
        text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": database.schema}
    )
    if exists.first() is not None:
        return
    try:
        async with connection.begin_nested():
            await connection.execute(text(f'CREATE SCHEMA "{database.schema}"'))
    except exc.DBAPIError as error:
        raise MigrationError(
            f"The role may not create schema {database.schema!r} at {database.target.label}. An "
            f'administrator must run, once: CREATE SCHEMA "{database.schema}" AUTHORIZATION <role>;   '
            f"(PostgreSQL said: {driver_error(error)})"
        ) from error


def _config() -> Config:
    config = Config(output_buffer=io.StringIO(), stdout=io.StringIO())
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _plan(connection: Connection, schema: str) -> MigrationPlan:
    context = MigrationContext.configure(connection, opts={"version_table_schema": schema})
    script = ScriptDirectory.from_config(_config())
    current = context.get_current_revision()
    pending = [
        (revision.revision, (revision.doc or "").partition("\n")[0])
        for revision in script.walk_revisions("base", "heads")
    ]
    pending.reverse()
    known = [revision for revision, _ in pending]
    if current is not None and current not in known:
        raise MigrationError(
            f"Schema {schema!r} is at revision {current!r}, which this version of neuromem does not know; it "
            "was made by a newer one. Upgrade neuromem."
        )
    done = known.index(current) + 1 if current is not None else 0
    return MigrationPlan(current, tuple(pending[done:]))


def _upgrade(connection: Connection, schema: str) -> None:
    config = _config()
    config.attributes.update(connection=connection, schema=schema)
    command.upgrade(config, "head")
