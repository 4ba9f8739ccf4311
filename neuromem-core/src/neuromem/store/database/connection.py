"""Connections by the driver asyncpg: how they are opened, and how its errors become ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import asyncpg
from pgvector import HalfVector
from sqlalchemy import NullPool, exc
from sqlalchemy.ext.asyncio import create_async_engine

from neuromem.errors import DatabaseError, DatabaseUnavailableError
from neuromem.store.database.rows import Row

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from neuromem.store.database.dsn import Target

DRIVER_ERRORS = (exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
# Raised by the first statement on a connection that was lost while idle; the last one when asyncpg does not know yet.
DEAD_CONNECTION_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    OSError,
    asyncpg.InternalClientError,
)

_DECODER = json.JSONDecoder()
MAX_PREPARED_STATEMENTS = 300  # on each connection, enough for all of ours


async def open_connection(
    target: Target, pooler: str | None, vector_schema: str | None, /
) -> asyncpg.Connection:
    """Open a connection that sends and reads ``halfvec`` in pgvector's binary format.

    Args:
        target: Where to connect.
        pooler: ``"transaction"`` behind a pooler that shares connections between transactions; else None.
        vector_schema: The schema of the extension; with None the connection can neither send nor read vectors.

    Raises:
        DatabaseError: The type ``halfvec`` is not in that schema.
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: No connection could be opened; see `translate_error`.
    """
    # Behind a pooler the next statement may run on another server connection, where a prepared one does not exist.
    # Without a cache asyncpg uses the unnamed statement, which does not stay.
    size = 0 if pooler == "transaction" else MAX_PREPARED_STATEMENTS
    connection = await asyncpg.connect(
        dsn=target.dsn,
        timeout=target.connect_timeout,
        record_class=Row,
        statement_cache_size=size,
        max_cached_statement_lifetime=0,
        max_cacheable_statement_size=0,
    )
    try:
        for name in ("json", "jsonb"):
            await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=_json)
        if vector_schema is not None:
            await _register_halfvec(connection, target, vector_schema)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _register_halfvec(connection: asyncpg.Connection, target: Target, schema: str) -> None:
    """Register pgvector's binary format for ``halfvec``, which then goes in and out as `HalfVector`.

    This costs one round trip, and saves more: asyncpg would look up an unknown type when the first vector is sent, by
    a slower statement and up to three round trips. Connecting and sending one vector took 5 ms instead of 12.
    pgvector's own ``register_vector`` looks up three types, of which we use one.
    """
    try:
        await connection.set_type_codec(
            "halfvec",
            schema=schema,
            encoder=HalfVector.to_binary,
            decoder=HalfVector.from_binary,
            format="binary",
        )
    except ValueError as error:  # asyncpg's "unknown type"
        raise DatabaseError(
            f"The type halfvec of pgvector is not in schema {schema!r} at {target.label} any more: the extension "
            "was moved or dropped since this process looked for it. Open the NeuroMemory anew."
        ) from error


def _json(text: str) -> Any:
    """Return a parsed JSON value, fast: there are many, most of them short, and PostgreSQL has validated them."""
    try:
        return _DECODER.raw_decode(text)[0]
    except json.JSONDecodeError:  # the type json keeps white space before a value
        return json.loads(text)


def migration_engine(target: Target, *, pooler: str | None) -> AsyncEngine:
    """Return the engine that migrations run on; it keeps no connection open.

    Args:
        target: Where to connect.
        pooler: ``"transaction"`` behind a pooler that shares connections between transactions; else None.
    """
    arguments: dict[str, Any] = {}
    caching: dict[str, Any] = {}
    if pooler == "transaction":
        arguments["statement_cache_size"] = 0
        caching = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""}

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(dsn=target.dsn, timeout=target.connect_timeout, **arguments)

    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={"async_creator_fn": connect, **caching},
        poolclass=NullPool,
        hide_parameters=True,
    )


def translate_error(error: BaseException, target: Target) -> DatabaseError:
    """Return our error for one of the driver; its message names the target by its label, never the password.

    Args:
        error: An error of asyncpg or SQLAlchemy, one of `DRIVER_ERRORS`.
        target: The server that it came from.

    Returns:
        `DatabaseUnavailableError` when no connection could be opened or it was lost, else `DatabaseError`.
    """
    cause = driver_error(error)
    if isinstance(cause, asyncpg.QueryCanceledError):
        return DatabaseError(f"A statement was canceled by {target.label}: {cause}")
    unreachable = isinstance(
        cause,
        OSError
        | asyncpg.InterfaceError
        | asyncpg.PostgresConnectionError
        | asyncpg.InvalidAuthorizationSpecificationError
        | asyncpg.InvalidCatalogNameError
        | asyncpg.CannotConnectNowError
        | asyncpg.TooManyConnectionsError,
    )
    if unreachable:
        return DatabaseUnavailableError(
            f"PostgreSQL at {target.label} cannot be used: {str(cause) or type(cause).__name__}. "
            "Check that it runs and that the user, password and database in the URL are right; "
            "`neuromem doctor` says more."
        )
    return DatabaseError(f"PostgreSQL at {target.label} refused a statement: {cause}")


def driver_error(error: BaseException) -> BaseException:
    """Return the error of asyncpg that an error of SQLAlchemy wraps; other errors are returned as they are."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            return cause
        cause = cause.__cause__ or getattr(cause, "orig", None)
    return error
