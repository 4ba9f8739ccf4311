"""Connections: one pool per NeuroMemory, every transaction bound to its user."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import create_async_engine

from neuromem.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from sqlalchemy import CursorResult, Row, TextClause
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from neuromem.store.url import Target

DRIVER_ERRORS = (exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_NAMED = re.compile(r"(?<![:\w]):([a-z_]\w*)")

# Plans for the values at hand: a cached generic plan does not know how many rows a user has.
CUSTOM = {"plan_cache_mode": "force_custom_plan"}
# For statements made of lateral lookups, whose plan must not hang on statistics: a planner that has none loves
# nested loops over what it takes for one row.
LOOKUPS = {**CUSTOM, "enable_nestloop": "off"}
# The same for a user whose rows are few: one plan per connection, by indexes alone, by this process alone.
# Planning anew costs as much as a tenth of what the scan of 10,000 vectors does.
LOOKUPS_OF_FEW = {
    "plan_cache_mode": "force_generic_plan",
    "enable_nestloop": "off",
    "enable_seqscan": "off",
    "max_parallel_workers_per_gather": "0",
}


class Transaction:
    """A running transaction; ``{s}`` in its SQL stands for the schema."""

    def __init__(self, connection: AsyncConnection, driver: asyncpg.Connection, database: Database) -> None:
        self._connection = connection
        self._driver = driver
        self._database = database

    async def all(self, sql: str, params: Mapping[str, Any] | None = None, /) -> Sequence[Row[Any]]:
        """Run a statement and return its rows."""
        return (await self._execute(sql, params)).all()

    async def first(self, sql: str, params: Mapping[str, Any] | None = None, /) -> Row[Any] | None:
        """Run a statement and return its first row, or None."""
        return (await self._execute(sql, params)).first()

    async def value(self, sql: str, params: Mapping[str, Any] | None = None, /) -> Any:
        """Run a statement and return the first column of its first row, or None."""
        return (await self._execute(sql, params)).scalar()

    async def run(self, sql: str, params: Mapping[str, Any] | None = None, /) -> int:
        """Run a statement and return how many rows it touched."""
        return (await self._execute(sql, params)).rowcount

    async def records(self, sql: str, params: Mapping[str, Any], /) -> list[asyncpg.Record]:
        """Run a statement and return the driver's own rows: for what is asked with every question."""
        positional, names = self._database.positional(sql)
        if self._database.engine.echo:
            self._database.engine.sync_engine.logger.info(positional)
        with self._database.translated():
            rows: list[asyncpg.Record] = await self._driver.fetch(positional, *[params[n] for n in names])
        return rows

    async def _execute(self, sql: str, params: Mapping[str, Any] | None) -> CursorResult[Any]:
        with self._database.translated():
            return await self._connection.execute(self._database.clause(sql), params or {})


def _quoted(text: str) -> str:
    """Return a literal that reads the same whatever standard_conforming_strings says."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


async def _roll_back(connection: AsyncConnection, driver: asyncpg.Connection) -> None:
    """Roll back and return the connection to the pool, or drop it when that fails.

    Also when no transaction seems to be open: a BEGIN that was canceled may have reached the server, and the
    next user of this connection must not find itself in the transaction of the one before.
    """
    try:
        await driver.execute("ROLLBACK")
    except (*DRIVER_ERRORS, asyncpg.InternalClientError):
        await connection.invalidate()
    finally:
        await connection.close()


class Database:
    """A pool of connections to one schema.

    The user is set transaction-locally when a transaction begins; row level security does the rest. The
    search path holds nothing but the place of the ``vector`` extension: our own tables are always qualified.
    """

    def __init__(
        self, target: Target, *, schema: str = "neuromem", pool_size: int = 10, echo: bool = False,
        pooler: str | None = None,
    ) -> None:  # fmt: skip
        if not _SCHEMA.fullmatch(schema):
            raise ConfigurationError(
                f"The schema name {schema!r} cannot be used: lower-case letters, digits and underscores, "
                "at most 63 of them, not starting with a digit."
            )
        if pooler not in (None, "transaction"):
            raise ConfigurationError(f"pooler={pooler!r} is not known; use None or 'transaction'.")
        self.target = target
        self.schema = schema
        self.search_path = "public"  # quoted where needed
        self._clauses: dict[str, TextClause] = {}
        self._positionals: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.engine = _engine(target, pool_size=pool_size, echo=echo, pooler=pooler)
        # Transactions are begun and ended here, not by SQLAlchemy.
        self._manual = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def clause(self, sql: str) -> TextClause:
        """Return the statement with the schema filled in; made once per statement."""
        clause = self._clauses.get(sql)
        if clause is None:
            clause = self._clauses[sql] = text(sql.replace("{s}", f'"{self.schema}"'))
        return clause

    def positional(self, sql: str) -> tuple[str, tuple[str, ...]]:
        """Return the statement as PostgreSQL numbers its parameters, and their names; made once per statement."""
        known = self._positionals.get(sql)
        if known is None:
            names = tuple(dict.fromkeys(_NAMED.findall(sql)))
            number = {name: f"${i}" for i, name in enumerate(names, start=1)}
            numbered = _NAMED.sub(lambda match: number[match[1]], sql).replace("{s}", f'"{self.schema}"')
            known = self._positionals[sql] = (numbered, names)
        return known

    @asynccontextmanager
    async def user(self, user_id: str) -> AsyncIterator[Transaction]:
        """Open a transaction that sees and writes the rows of one user."""
        async with self._begin("BEGIN", {"neuromem.user_id": user_id}) as transaction:
            yield transaction

    @asynccontextmanager
    async def reader(
        self, user_id: str, timeout: float | None = None, *, settings: Mapping[str, str] = CUSTOM
    ) -> AsyncIterator[Transaction]:
        """Open a read-only transaction with one snapshot; each statement may take ``timeout`` seconds.

        ``settings`` say how statements are planned.
        """
        made = {"neuromem.user_id": user_id, "jit": "off", **settings}
        if timeout is not None:
            made["statement_timeout"] = f"{max(1, round(timeout * 1000))}ms"
        async with self._begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", made) as transaction:
            yield transaction

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Transaction]:
        """Open a transaction that sees the jobs and users of everybody, and nothing else of anybody."""
        async with self._begin("BEGIN", {"neuromem.scope": "worker"}) as transaction:
            yield transaction

    @asynccontextmanager
    async def _begin(self, begin: str, settings: Mapping[str, str]) -> AsyncIterator[Transaction]:
        """Begin with the settings made, in one message: each round trip costs more than what it asks for."""
        values = {"search_path": self.search_path, **settings}
        made = ", ".join(f"set_config({_quoted(k)}, {_quoted(v)}, true)" for k, v in values.items())
        with self.translated():
            connection, driver = await self._open(f"{begin}; SELECT {made}")
        try:
            yield Transaction(connection, driver, self)
            with self.translated():
                await driver.execute("COMMIT")
        except BaseException:
            # A second cancellation must not stop this half-way.
            await asyncio.shield(_roll_back(connection, driver))
            raise
        await asyncio.shield(connection.close())

    async def _open(self, begin: str) -> tuple[AsyncConnection, asyncpg.Connection]:
        """Return a connection in a transaction.

        A pooled connection may have died with its server; nothing has been done on it yet, so one fresh
        attempt is safe, after the whole pool was dropped.
        """
        for last in (False, True):
            connection = await self._manual.connect()
            driver: asyncpg.Connection = (await connection.get_raw_connection()).driver_connection
            try:
                await driver.execute(begin)
            except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):
                await connection.invalidate()
                await connection.close()
                if last:
                    raise
                await self.engine.dispose()
            except BaseException:
                await asyncio.shield(_roll_back(connection, driver))
                raise
            else:
                return connection, driver
        raise AssertionError  # the loop returns or raises

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's errors into ours; around calls of the driver only, since a time-out is an OSError."""
        try:
            yield
        except DRIVER_ERRORS as error:
            raise self.translate(error) from error

    def translate(self, error: BaseException) -> DatabaseError:
        """Return the error of ours that stands for a driver's."""
        cause = driver_error(error)
        if isinstance(cause, exc.TimeoutError):
            return DatabaseUnavailableError(
                f"No connection to {self.target.label} became free in time; raise pool_size or look for "
                "transactions that stay open."
            )
        if isinstance(cause, asyncpg.QueryCanceledError):
            return DatabaseError(f"A statement was canceled by {self.target.label}: {cause}")
        unreachable = isinstance(
            cause, OSError | asyncpg.InterfaceError | asyncpg.PostgresConnectionError
            | asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError
            | asyncpg.CannotConnectNowError | asyncpg.TooManyConnectionsError,
        )  # fmt: skip
        if unreachable:
            return DatabaseUnavailableError(
                f"PostgreSQL at {self.target.label} cannot be used: {str(cause) or type(cause).__name__}. "
                "Check that it runs and that the user, password and database in the URL are right; "
                "`neuromem doctor` says more."
            )
        return DatabaseError(f"PostgreSQL at {self.target.label} refused a statement: {cause}")

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self.engine.dispose()


def driver_error(error: BaseException) -> BaseException:
    """Return asyncpg's own error from below SQLAlchemy's wrappers."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            return seen
        seen = seen.__cause__ or getattr(seen, "orig", None)
    return error


def _engine(target: Target, *, pool_size: int, echo: bool, pooler: str | None) -> AsyncEngine:
    arguments: dict[str, Any] = {}
    caching: dict[str, Any] = {}
    if pooler == "transaction":
        # The next statement may meet another server connection, so nothing prepared may be relied on: no
        # cache in either layer, and the unnamed statement, which leaves nothing behind.
        arguments["statement_cache_size"] = 0
        caching = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""}

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(dsn=target.dsn, timeout=target.connect_timeout, **arguments)

    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={"async_creator_fn": connect, **caching},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        pool_pre_ping=False,
        echo=echo,
        hide_parameters=True,
    )
