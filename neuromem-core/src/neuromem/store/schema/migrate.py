"""Migrates the schema to the version that this code needs, safely from any number of processes."""

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

# Alembic passes `context` and `op` to migrations through globals of the process, so that only one can run in it.
_ALEMBIC_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What a migration would do.

    Attributes:
        current: The revision of the schema; None: it is empty or does not exist.
        pending: The revisions that are to be applied, oldest first: each with the first line of its description.
    """

    current: str | None
    pending: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Extension:
    """The pgvector extension: its version, the schema it is in, and that name quoted for a search path."""

    version: tuple[int, int]
    schema: str
    search_path: str


async def prepare_schema(database: Database, *, migrate: bool) -> None:
    """Check the server, then migrate the schema, or require it to be up to date.

    Everything happens in one transaction under an advisory lock: of several processes that start at once, one migrates
    and the others wait for it.

    Args:
        database: The database; it learns from this which pgvector there is.
        migrate: Whether to migrate; False: require the schema to be up to date.

    Raises:
        MigrationError: The server is too old, lacks pgvector, or the role lacks a privilege; the schema is newer than
            this code, or is not up to date and may not be migrated.
        DatabaseUnavailableError: The server cannot be reached.
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
                async with _one_migration_in_process():
                    await connection.run_sync(_upgrade, database.schema)
        database.set_extension(extension.version, extension.schema, extension.search_path)
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
    """Return what a migration would do; nothing is changed.

    Raises:
        MigrationError: The schema was made by a newer version of neuromem.
        DatabaseUnavailableError: The server cannot be reached.
    """
    try:
        async with database.engine.connect() as connection:
            return await connection.run_sync(_plan, database.schema)
    except DRIVER_ERRORS as error:
        raise translate_error(error, database.target) from error


@asynccontextmanager
async def _one_migration_in_process() -> AsyncIterator[None]:
    while not _ALEMBIC_LOCK.acquire(blocking=False):  # noqa: ASYNC110  event loops of other threads wait for it, too
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        _ALEMBIC_LOCK.release()


async def _check_server(connection: AsyncConnection) -> None:
    number = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
    if number < MIN_POSTGRES * 10_000:
        raise MigrationError(
            f"The server is PostgreSQL {number // 10_000}; neuromem needs {MIN_POSTGRES} or newer."
        )


async def _create_extension(connection: AsyncConnection) -> None:
    if await _installed_pgvector(connection) is not None:
        return
    try:
        async with connection.begin_nested():
            await connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except exc.DBAPIError as error:
        if await _installed_pgvector(connection) is not None:  # another process was faster
            return
        database = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        raise MigrationError(
            f"Database {database!r} has no pgvector and this role may not create it. An administrator must "
            "run, once, in that database: CREATE EXTENSION vector;   "
            f"(PostgreSQL said: {driver_error(error)})"
        ) from error


async def _installed_pgvector(connection: AsyncConnection) -> tuple[str, str, str] | None:
    """Return pgvector's version, its schema and that name quoted; None when it is not installed."""
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
    found = await _installed_pgvector(connection)
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


def alembic_config() -> Config:
    """Return Alembic's configuration of our migrations, which prints nothing."""
    config = Config(output_buffer=io.StringIO(), stdout=io.StringIO())
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _plan(connection: Connection, schema: str) -> MigrationPlan:
    context = MigrationContext.configure(connection, opts={"version_table_schema": schema})
    script = ScriptDirectory.from_config(alembic_config())
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
    config = alembic_config()
    config.attributes.update(connection=connection, schema=schema)
    command.upgrade(config, "head")
