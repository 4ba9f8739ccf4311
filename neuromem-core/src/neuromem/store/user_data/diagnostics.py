"""Inspects a server, its schema, its queue and the isolation of users, for ``neuromem doctor``; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.errors import DatabaseError
from neuromem.store.database.row_security import GLOBAL_TABLES, WORKER_TABLES
from neuromem.store.database.sql import fill
from neuromem.store.database.users import begin_write
from neuromem.store.schema.migrate import MIN_PGVECTOR, MIN_POSTGRES
from neuromem.store.search_index.vectors import ACTIVE_SPACE, EmbeddingSpace, space_of

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction

DESCRIBE_SERVER = """
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
           current_user AS role, r.rolsuper AS superuser, r.rolsuper OR r.rolbypassrls AS unbound,
           (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector,
           (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available,
           ARRAY(SELECT b.rolname::text FROM pg_roles b WHERE (b.rolsuper OR b.rolbypassrls) AND b.rolcanlogin
                 ORDER BY b.rolsuper, b.rolname) AS unbound_roles
    FROM pg_roles r WHERE r.rolname = current_user
"""

TABLES_WITH_PROTECTION = """
    SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity
           AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS protected
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') ORDER BY c.relname
"""

SET_IDENTITY = (
    "SELECT set_config('neuromem.user_id', :user, true), set_config('neuromem.scope', :scope, true)"
)

INSERT_TRIAL_SESSION = """
    INSERT INTO {s}.sessions (user_id, session_id, created_at, updated_at)
    VALUES (:user, 'doctor', now(), now())
"""

COUNT_JOBS = """
    SELECT kind, capability, count(*) FILTER (WHERE NOT dead) AS open, count(*) FILTER (WHERE dead) AS dead,
           min(created_at) FILTER (WHERE NOT dead) AS oldest,
           (array_agg(error ORDER BY job DESC) FILTER (WHERE error IS NOT NULL))[1] AS error
    FROM {s}.jobs GROUP BY kind, capability ORDER BY kind, capability
"""


@dataclass(frozen=True, slots=True)
class ServerReport:
    """A PostgreSQL server and the role that is connected.

    Attributes:
        version: The version of PostgreSQL as it names itself.
        number: The same as a number, 160004 for 16.4.
        role: The role that is connected.
        superuser: Whether it is a superuser.
        unbound: Whether row level security does not bind it.
        vector: The version of pgvector in this database, None without it.
        available: The version of pgvector that the server could install, None without one.
        unbound_roles: All roles with login that row level security does not bind.
    """

    version: str
    number: int
    role: str
    superuser: bool
    unbound: bool
    vector: str | None
    available: str | None
    unbound_roles: tuple[str, ...]

    @property
    def supported(self) -> bool:
        """Whether neuromem works with this version of PostgreSQL."""
        return self.number >= MIN_POSTGRES * 10_000

    @property
    def vector_supported(self) -> bool:
        """Whether pgvector is in this database, and new enough."""
        return self.vector is not None and tuple(map(int, self.vector.split(".")[:2])) >= MIN_PGVECTOR


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """What keeps users apart: what the catalog says, and what another user can see and write.

    Attributes:
        protected: Tables with forced row level security.
        unprotected: Tables without it.
        leaking: Tables that showed rows to a user who has none.
        writable: Whether a user could write a row of another user.
    """

    protected: tuple[str, ...]
    unprotected: tuple[str, ...]
    leaking: tuple[str, ...]
    writable: bool


@dataclass(frozen=True, slots=True)
class QueueReport:
    """The jobs of one kind.

    Attributes:
        kind: The kind.
        capability: What a worker must have to run them.
        open: How many wait or run.
        dead: How many were given up.
        oldest: When the oldest open one was enqueued.
        error: The last error of any of them.
    """

    kind: str
    capability: str
    open: int
    dead: int
    oldest: datetime | None
    error: str | None


async def inspect_server(database: Database) -> ServerReport:
    """Return the version and extensions of the server, and the role that is connected."""
    async with database.worker() as transaction:
        row = await transaction.first(DESCRIBE_SERVER)
    assert row is not None  # a role that is connected exists
    return ServerReport(
        row.version,
        row.number,
        row.role,
        row.superuser,
        row.unbound,
        row.vector,
        row.available,
        tuple(row.unbound_roles),
    )


async def inspect_queue(database: Database) -> list[QueueReport]:
    """Return the state of the queue, all users together."""
    async with database.worker() as transaction:
        rows = await transaction.all(COUNT_JOBS)
    return [QueueReport(row.kind, row.capability, row.open, row.dead, row.oldest, row.error) for row in rows]


async def inspect_space(database: Database) -> EmbeddingSpace | None:
    """Return the active embedding space, None when nothing was ever embedded."""
    async with database.worker() as transaction:
        row = await transaction.first(ACTIVE_SPACE)
    return None if row is None else space_of(row)


async def inspect_isolation(database: Database) -> IsolationReport:
    """Return how users are kept apart: read the catalog, then try to read and write as another user, and roll back."""
    async with database.worker() as transaction:
        rows = await transaction.all(TABLES_WITH_PROTECTION, {"schema": database.schema})
    tables = {row.name: bool(row.protected) for row in rows if row.name not in GLOBAL_TABLES}
    leaking: list[str] = []
    try:
        async with database.user(owner := f"doctor-{uuid4()}") as transaction:
            await begin_write(transaction, owner)
            await transaction.run(INSERT_TRIAL_SESSION, {"user": owner})
            leaking = [name for name in tables if await _seen_by_others(transaction, name)]
            raise _RollBackError
    except _RollBackError:
        pass
    return IsolationReport(
        protected=tuple(name for name, protected in tables.items() if protected),
        unprotected=tuple(name for name, protected in tables.items() if not protected),
        leaking=tuple(leaking),
        writable=await _writable_by_others(database),
    )


async def _seen_by_others(transaction: Transaction, table: str) -> bool:
    """Return whether an unfiltered query shows rows to a user without any, or content to a worker."""
    identities = [(f"doctor-{uuid4()}", ""), ("", "")]
    if table not in WORKER_TABLES:
        identities.append(("", "worker"))
    for user, scope in identities:
        await transaction.run(SET_IDENTITY, {"user": user, "scope": scope})
        if await transaction.value(fill('SELECT EXISTS (SELECT FROM {s}."{table}")', table=table)):
            return True
    return False


async def _writable_by_others(database: Database) -> bool:
    try:
        async with database.user(f"doctor-{uuid4()}") as transaction:
            await transaction.run(INSERT_TRIAL_SESSION, {"user": f"doctor-{uuid4()}"})
            raise _RollBackError
    except _RollBackError:
        return True
    except DatabaseError:
        return False


class _RollBackError(Exception):
    """Leaves a transaction without committing it."""
