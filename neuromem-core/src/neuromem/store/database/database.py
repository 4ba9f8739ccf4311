"""The database: a pool of connections to one schema, and transactions that each see the rows of one user."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from neuromem.errors import ConfigurationError, DatabaseUnavailableError
from neuromem.store.database.connection import (
    DEAD_CONNECTION_ERRORS,
    DRIVER_ERRORS,
    migration_engine,
    open_connection,
    translate_error,
)
from neuromem.store.database.planner_settings import PLANNER_CUSTOM
from neuromem.store.database.pool import Pool, PoolTimeoutError
from neuromem.store.database.rows import number_parameters
from neuromem.store.database.sql import Fragment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.dsn import Target
    from neuromem.store.database.rows import Row

logger = logging.getLogger("neuromem.sql")

# A writer's moment on the user's clock is earlier than its commit. Before a recent moment is read, this waits for the
# user's writers by taking their lock. Writers of a moment more than a minute ago are taken to have committed.
WAIT_FOR_WRITERS = """
    SELECT FROM {s}.users
    WHERE user_id = :user AND CAST(:as_of AS timestamptz) > clock_timestamp() - interval '1 minute' FOR SHARE
"""

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class DryRunError(Exception):
    """Rolls back the transaction of a dry run."""


class Transaction:
    """A running transaction.

    A statement is a text or a `Fragment`; in it ``{s}`` stands for the schema and ``:name`` for a parameter. Statements
    go to the driver without SQLAlchemy, whose work for each would cost more than the driver's own.

    Each method that runs a statement takes its parameters by name, in addition to those of a fragment, and raises
    `DatabaseError` when PostgreSQL refuses it, `DatabaseUnavailableError` when the connection is lost.
    """

    def __init__(self, driver: asyncpg.Connection, database: Database) -> None:
        self._driver = driver
        self._database = database
        self._before_commit: deque[Callable[[], Awaitable[None]]] = deque()

    def before_commit(self, action: Callable[[], Awaitable[None]]) -> None:
        """Run an action before the commit, for what must hold at the end but not after every statement."""
        self._before_commit.append(action)

    async def finish(self) -> None:
        """Run the actions of `before_commit`, and those that they add; called once, right before the commit."""
        while self._before_commit:
            await self._before_commit.popleft()()

    async def all(self, sql: str | Fragment, params: Mapping[str, Any] | None = None, /) -> Sequence[Row]:
        """Run a statement and return its rows."""
        statement, arguments = self._database.statement(sql, params)
        with self._database.translated():
            rows: Sequence[Row] = await self._driver.fetch(statement, *arguments)
        return rows

    async def first(self, sql: str | Fragment, params: Mapping[str, Any] | None = None, /) -> Row | None:
        """Run a statement and return its first row, or None."""
        rows = await self.all(sql, params)
        return rows[0] if rows else None

    async def value(self, sql: str | Fragment, params: Mapping[str, Any] | None = None, /) -> Any:
        """Run a statement and return the first column of its first row, or None."""
        row = await self.first(sql, params)
        return row[0] if row is not None else None

    async def run(self, sql: str | Fragment, params: Mapping[str, Any] | None = None, /) -> int:
        """Run a statement and return how many rows it inserted, updated, deleted or selected; 0 for others."""
        statement, arguments = self._database.statement(sql, params)
        with self._database.translated():
            status = await self._driver.execute(statement, *arguments)
        number = str(status).rpartition(" ")[2]
        return int(number) if number.isdigit() else 0


def quote_literal(text: str) -> str:
    """Return a string literal that means the same with any setting of ``standard_conforming_strings``."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class Database:
    """A pool of connections to one schema.

    The user is set transaction-locally when a transaction begins; row level security does the rest. The search path
    has nothing but the schema of the ``vector`` extension, because our own tables are always qualified.

    Args:
        target: Where to connect.
        schema: The schema of all tables.
        pool_size: How many connections are open at most.
        echo: Whether statements are logged, without their parameters.
        pooler: "transaction" behind a pooler that shares connections between transactions; else None.

    Attributes:
        target: Where to connect.
        schema: The schema of all tables.
        engine: The engine of SQLAlchemy that migrations run on.
        pool: The pool that transactions take their connections from.
        pgvector: The major and minor version of the ``vector`` extension.
        vector_schema: The schema of that extension; None: not known yet, so that no vectors can be sent.
        search_path: The same, quoted where it has to be.
        keeps_sessions: Whether settings and locks of a session stay its own; not so behind a pooler.

    Raises:
        ConfigurationError: The schema's name or ``pooler`` cannot be used.
    """

    def __init__(
        self,
        target: Target,
        *,
        schema: str = "neuromem",
        pool_size: int = 10,
        echo: bool = False,
        pooler: str | None = None,
    ) -> None:
        if not _SCHEMA.fullmatch(schema):
            raise ConfigurationError(
                f"The schema name {schema!r} cannot be used: lower-case letters, digits and underscores, "
                "at most 63 of them, not starting with a digit."
            )
        if pooler not in (None, "transaction"):
            raise ConfigurationError(f"pooler={pooler!r} is not known; use None or 'transaction'.")
        self.target = target
        self.schema = schema
        self.search_path = "public"
        self.vector_schema: str | None = None
        self.pgvector = (0, 7)
        self._statements: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._echo = echo
        self.keeps_sessions = pooler is None
        self.engine = migration_engine(target, pooler=pooler)
        self._pooler = pooler
        self.pool = Pool(self._connect, pool_size)

    def set_extension(self, version: tuple[int, int], schema: str, search_path: str) -> None:
        """Set pgvector's version and schema; idle connections, which cannot send vectors yet, are dropped.

        Args:
            version: Its major and minor version.
            schema: The schema that it is installed in.
            search_path: The same, quoted where it has to be.
        """
        self.pgvector, self.search_path = version, search_path
        if schema != self.vector_schema:
            self.vector_schema = schema
            self.pool.drop_idle()

    async def _connect(self) -> asyncpg.Connection:
        return await open_connection(self.target, self._pooler, self.vector_schema)

    def statement(self, sql: str | Fragment, params: Mapping[str, Any] | None) -> tuple[str, list[Any]]:
        """Return a statement with numbered parameters, as the driver wants it, and their values in that order.

        Each text is parsed once. The parameters of a fragment and ``params`` are used together.
        """
        if isinstance(sql, Fragment):
            params = {**sql.parameters, **(params or {})}
            sql = sql.sql
        parsed = self._statements.get(sql)
        if parsed is None:
            parsed = self._statements[sql] = number_parameters(sql.replace("{s}", f'"{self.schema}"'))
        if self._echo:
            logger.info("%s", parsed[0])
        return parsed[0], [params[name] for name in parsed[1]] if params is not None else []

    @asynccontextmanager
    async def user(self, user_id: str) -> AsyncIterator[Transaction]:
        """Open a transaction that reads and writes the rows of one user.

        It commits when the block ends, and rolls back when the block raises.

        Raises:
            DatabaseUnavailableError: No connection could be opened or became free in time.
        """
        async with self._begin("BEGIN", {"neuromem.user_id": user_id}) as transaction:
            yield transaction

    @asynccontextmanager
    async def reader(
        self,
        user_id: str,
        timeout: float | None = None,
        *,
        settings: Mapping[str, str] = PLANNER_CUSTOM,
        as_of: datetime | None = None,
    ) -> AsyncIterator[Transaction]:
        """Open a read-only transaction of one user, with one snapshot of the database (REPEATABLE READ).

        Args:
            user_id: The user.
            timeout: How many seconds each statement may take; None: the server's setting.
            settings: How statements are planned, see `neuromem.store.database.planner_settings`.
            as_of: The moment in the past that will be read. Writers that began before it are waited for, so that
                reading the same moment again finds the same.

        Raises:
            DatabaseUnavailableError: No connection could be opened or became free in time.
        """
        if as_of is not None:
            async with self.user(user_id) as transaction:
                await transaction.run(WAIT_FOR_WRITERS, {"user": user_id, "as_of": as_of})
        session = {"neuromem.user_id": user_id, "jit": "off", **settings}
        if timeout is not None:
            session["statement_timeout"] = f"{max(1, round(timeout * 1000))}ms"
        async with self._begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", session) as transaction:
            yield transaction

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Transaction]:
        """Open a transaction that sees the jobs and rows of ``users`` of all users, and no other data of theirs."""
        async with self._begin("BEGIN", {"neuromem.scope": "worker"}) as transaction:
            yield transaction

    @asynccontextmanager
    async def _begin(self, begin: str, settings: Mapping[str, str]) -> AsyncIterator[Transaction]:
        """Open a transaction and set its settings in one message, because each round trip costs more than its work."""
        assignments = "".join(
            f"; SET LOCAL {name} = {quote_literal(value)}" for name, value in settings.items()
        )
        with self.translated():
            driver = await self._open(f"{begin}; SET LOCAL search_path = {self.search_path}{assignments}")
        try:
            transaction = Transaction(driver, self)
            yield transaction
            await transaction.finish()
            with self.translated():
                await driver.execute("COMMIT")
        except BaseException:
            # A second cancellation must not stop this half-way.
            await asyncio.shield(self._roll_back(driver))
            raise
        self.pool.give_back(driver)

    async def outside(self, sql: str, settings: Mapping[str, str] | None = None) -> None:
        """Run a statement that allows no transaction around it, on a connection of its own.

        Args:
            sql: The statement, without parameters; ``{s}`` stands for the schema.
            settings: Settings of the session. They are left out behind a pooler, where they would affect others.

        Raises:
            DatabaseError: PostgreSQL refused the statement.
            DatabaseUnavailableError: No connection could be opened.
        """
        with self.translated():
            driver = await open_connection(self.target, self._pooler, None)
            try:
                for name, value in (settings or {}).items() if self._pooler is None else ():
                    await driver.execute(f"SET {name} = {quote_literal(value)}")
                await driver.execute(sql.replace("{s}", f'"{self.schema}"'))
            finally:
                await asyncio.shield(driver.close())

    async def _open(self, begin: str) -> asyncpg.Connection:
        """Return a connection in a transaction.

        A pooled connection may have died with its server. Nothing has been done on it yet, so that a second attempt is
        safe after all idle connections were dropped.
        """
        for last in (False, True):
            driver = await self._take()
            try:
                await driver.execute(begin)
            except DEAD_CONNECTION_ERRORS:
                self.pool.drop(driver)
                if last:
                    raise
                self.pool.drop_idle()
            except BaseException:
                await asyncio.shield(self._roll_back(driver))
                raise
            else:
                return driver
        raise AssertionError  # the loop returns or raises

    async def _take(self) -> asyncpg.Connection:
        try:
            return await self.pool.take()
        except PoolTimeoutError:
            raise DatabaseUnavailableError(
                f"No connection to {self.target.label} became free in time; raise pool_size or look for "
                "transactions that stay open."
            ) from None

    async def _roll_back(self, driver: asyncpg.Connection) -> None:
        """Roll back and return the connection to the pool, or drop it when that fails.

        It rolls back even when no transaction seems to be open: a BEGIN that was canceled may have reached the server,
        and the next one who takes this connection must not be in that transaction.
        """
        try:
            await driver.execute("ROLLBACK")
        except BaseException as error:
            self.pool.drop(driver)
            if not isinstance(error, (*DRIVER_ERRORS, asyncpg.InternalClientError)):
                raise
        else:
            self.pool.give_back(driver)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise errors of the driver as errors of ours.

        For calls of the driver only: a time-out of other code is an OSError, too, and is none of the database.
        """
        try:
            yield
        except DRIVER_ERRORS as error:
            raise translate_error(error, self.target) from error

    async def close(self) -> None:
        """Close every connection; those in use are closed when they are given back."""
        await self.pool.close()
        await self.engine.dispose()
