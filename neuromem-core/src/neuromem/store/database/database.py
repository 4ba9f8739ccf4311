"""Connections: one pool per NeuroMemory, every transaction bound to its user."""

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
from neuromem.store.database.pool import Pool, PoolTimeoutError
from neuromem.store.database.rows import number_parameters
from neuromem.store.database.sql import Fragment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.dsn import Target
    from neuromem.store.database.rows import Row

logger = logging.getLogger("neuromem.sql")

# A writer has its moment before it commits. Who asks for a moment just gone takes the lock of the user's writers for
# an instant; long ago there is nobody to wait for, and nothing is locked.
SETTLE = """
    SELECT FROM {s}.users
    WHERE user_id = :user AND CAST(:as_of AS timestamptz) > clock_timestamp() - interval '1 minute' FOR SHARE
"""

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")

# Plans for the values at hand: a cached generic plan does not know how many rows a user has.
PLANNER_CUSTOM = {"plan_cache_mode": "force_custom_plan"}
# For statements made of lateral lookups, whose plan must not hang on statistics: a planner that has none loves
# nested loops over what it takes for one row. By indexes alone: a table holds the rows of everybody.
PLANNER_INDEX_ONLY = {**PLANNER_CUSTOM, "enable_nestloop": "off", "enable_seqscan": "off"}
# The same for a user whose rows are few: one plan per connection, by this process alone.
# Planning anew costs as much as a tenth of what the scan of 10,000 vectors does.
PLANNER_GENERIC = {
    **PLANNER_INDEX_ONLY,
    "plan_cache_mode": "force_generic_plan",
    "max_parallel_workers_per_gather": "0",
}
# For a user whose present is small and whose past is long: a plan for the values at hand finds the index that leaves
# out the past, as long as pages here and there cost it no more than all of them in a row.
PLANNER_PARTIAL_INDEX = {
    **PLANNER_INDEX_ONLY,
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1",
}


class Transaction:
    """A running transaction; ``{s}`` in its SQL stands for the schema, ``:name`` for a parameter.

    Statements go to the driver as they are: what a mapper would do for each costs more than the driver's own work.
    """

    def __init__(self, driver: asyncpg.Connection, database: Database) -> None:
        self._driver = driver
        self._database = database
        self._last: deque[Callable[[], Awaitable[None]]] = deque()

    def before_commit(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do something when all else is done: what must hold at the end need not hold in between."""
        self._last.append(action)

    async def finish(self) -> None:
        """Do what was left for the end; it may leave more."""
        while self._last:
            await self._last.popleft()()

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
        """Run a statement and return how many rows it touched."""
        statement, arguments = self._database.statement(sql, params)
        with self._database.translated():
            done = await self._driver.execute(statement, *arguments)
        number = str(done).rpartition(" ")[2]
        return int(number) if number.isdigit() else 0


def quote_literal(text: str) -> str:
    """Return a literal that reads the same whatever standard_conforming_strings says."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class Database:
    """A pool of connections to one schema.

    The user is set transaction-locally when a transaction begins; row level security does the rest. The
    search path holds nothing but the place of the ``vector`` extension: our own tables are always qualified.
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
        self.search_path = "public"  # quoted where needed
        self.vector_schema: str | None = None  # the same, not quoted; None: no vectors are sent yet
        self.pgvector = (0, 7)
        self._statements: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._echo = echo
        # Else what is locked or set outside of a transaction may be another's.
        self.keeps_sessions = pooler is None
        self.engine = migration_engine(target, pooler=pooler)
        self._pooler = pooler
        self.pool = Pool(self._connect, pool_size)

    def found_extension(self, version: tuple[int, int], schema: str, search_path: str) -> None:
        """Note pgvector's version and schema; idle connections, which cannot send vectors yet, are dropped."""
        self.pgvector, self.search_path = version, search_path
        if schema != self.vector_schema:
            self.vector_schema = schema
            self.pool.forget()

    async def _connect(self) -> asyncpg.Connection:
        return await open_connection(self.target, self._pooler, self.vector_schema)

    def statement(self, sql: str | Fragment, params: Mapping[str, Any] | None) -> tuple[str, list[Any]]:
        """Return a statement as the driver wants it, with its arguments; each text is parsed once.

        The parameters of a fragment and ``params`` are taken together.
        """
        if isinstance(sql, Fragment):
            params = {**sql.parameters, **(params or {})}
            sql = sql.sql
        read = self._statements.get(sql)
        if read is None:
            read = self._statements[sql] = number_parameters(sql.replace("{s}", f'"{self.schema}"'))
        if self._echo:
            logger.info("%s", read[0])
        return read[0], [params[name] for name in read[1]] if params is not None else []

    @asynccontextmanager
    async def user(self, user_id: str) -> AsyncIterator[Transaction]:
        """Open a transaction that sees and writes the rows of one user."""
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
        """Open a read-only transaction with one snapshot; each statement may take ``timeout`` seconds.

        ``settings`` say how statements are planned. What is read ``as_of`` a moment stays what it was: whoever has
        begun to write before that moment is waited for.
        """
        if as_of is not None:
            async with self.user(user_id) as transaction:
                await transaction.run(SETTLE, {"user": user_id, "as_of": as_of})
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
        made = "".join(f"; SET LOCAL {name} = {quote_literal(value)}" for name, value in settings.items())
        with self.translated():
            driver = await self._open(f"{begin}; SET LOCAL search_path = {self.search_path}{made}")
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

        ``settings`` are left out behind a pooler, where they would reach others.
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

        A pooled connection may have died with its server; nothing has been done on it yet, so one fresh
        attempt is safe, after the whole pool was dropped.
        """
        for last in (False, True):
            driver = await self._take()
            try:
                await driver.execute(begin)
            except DEAD_CONNECTION_ERRORS:
                self.pool.drop(driver)
                if last:
                    raise
                self.pool.forget()
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

        Also when no transaction seems to be open: a BEGIN that was canceled may have reached the server, and the
        next user of this connection must not find itself in the transaction of the one before.
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
        """Turn the driver's errors into ours; around calls of the driver only, since a time-out is an OSError."""
        try:
            yield
        except DRIVER_ERRORS as error:
            raise translate_error(error, self.target) from error

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self.pool.close()
        await self.engine.dispose()
