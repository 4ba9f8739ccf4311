"""The driver: how connections are opened, and what its errors mean."""

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
# What a connection raises that died while nobody used it; the last, while its end is still on its way.
DEAD_CONNECTION_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    OSError,
    asyncpg.InternalClientError,
)

_DECODER = json.JSONDecoder()
STATEMENTS = 300  # that a connection keeps prepared: all of ours


async def open_connection(
    target: Target, pooler: str | None, vector_schema: str | None, /
) -> asyncpg.Connection:
    """Open a connection that sends and reads ``halfvec`` in pgvector's binary format.

    Args:
        target: Where to connect.
        pooler: ``"transaction"`` behind a pooler that shares connections between transactions; else None.
        vector_schema: The schema of the extension; with None the connection can neither send nor read vectors.
    """
    # Behind a pooler the next statement may meet another server connection, so nothing prepared may be relied on:
    # the unnamed statement leaves nothing behind.
    size = 0 if pooler == "transaction" else STATEMENTS
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

    This asks the server for the type, one round trip. It is no extra cost: asyncpg would ask for an unknown type
    when the first vector is sent, by a slower statement and up to three round trips. Connecting and sending one
    vector took 5 ms in place of 12. pgvector's own ``register_vector`` asks for three types, of which we use one.
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
    """Read JSON: there are many values, most of them short, and PostgreSQL has checked them already."""
    try:
        return _DECODER.raw_decode(text)[0]
    except json.JSONDecodeError:  # the type json keeps the space that stood before a value
        return json.loads(text)


def migration_engine(target: Target, *, pooler: str | None) -> AsyncEngine:
    """Return what migrations run on; it keeps no connection."""
    arguments: dict[str, Any] = {}
    caching: dict[str, Any] = {}
    if pooler == "transaction":
        arguments["statement_cache_size"] = 0
        caching = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""}

    async def plain() -> asyncpg.Connection:
        return await asyncpg.connect(dsn=target.dsn, timeout=target.connect_timeout, **arguments)

    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={"async_creator_fn": plain, **caching},
        poolclass=NullPool,
        hide_parameters=True,
    )


def translate_error(error: BaseException, target: Target) -> DatabaseError:
    """Return the error of ours that stands for a driver's."""
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
    """Return asyncpg's own error from below SQLAlchemy's wrappers."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            return seen
        seen = seen.__cause__ or getattr(seen, "orig", None)
    return error
