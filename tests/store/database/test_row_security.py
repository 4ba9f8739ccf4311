"""Row level security: no user sees or changes rows of another, as the catalog says and as raw SQL shows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from neuromem.store.database.dsn import parse_dsn
from neuromem.store.database.row_security import GLOBAL_TABLES, WORKER_TABLES

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database
    from tests.conftest import Server

TABLES = """
    SELECT c.relname::text AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced
    FROM pg_class c WHERE c.relnamespace = 'neuromem'::regnamespace AND c.relkind IN ('r', 'p')
"""

# Every index, so also every primary key and unique constraint.
INDEXES = """
    SELECT x.indexrelid::regclass::text AS index, t.relname::text AS table, a.attname::text AS first,
           a.atttypid::regtype::text AS type, c.collname::text AS collation
    FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid
    LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
    LEFT JOIN pg_collation c ON c.oid = x.indcollation[0]
    WHERE t.relnamespace = 'neuromem'::regnamespace
"""

FOREIGN_KEYS = """
    SELECT f.conname::text AS name, t.relname::text AS table, r.relname::text AS target,
           own.attname::text AS first, theirs.attname::text AS target_first
    FROM pg_constraint f JOIN pg_class t ON t.oid = f.conrelid JOIN pg_class r ON r.oid = f.confrelid
    JOIN pg_attribute own ON own.attrelid = f.conrelid AND own.attnum = f.conkey[1]
    JOIN pg_attribute theirs ON theirs.attrelid = f.confrelid AND theirs.attnum = f.confkey[1]
    WHERE f.contype = 'f' AND f.connamespace = 'neuromem'::regnamespace
"""

POLICIES = """
    SELECT tablename::text AS table, cmd, permissive, roles::text[] AS roles, qual, with_check
    FROM pg_policies WHERE schemaname = 'neuromem'
"""


CHECKS = """
    SELECT conrelid::regclass::text AS table, conname::text AS name FROM pg_constraint
    WHERE contype = 'c' AND connamespace = 'neuromem'::regnamespace
"""

# What a row cannot do without.
NEEDED = """
    SELECT attname::text AS name, atttypid::regtype::text AS type FROM pg_attribute
    WHERE attrelid = ('neuromem.' || $1)::regclass AND attnum > 0 AND NOT attisdropped
      AND attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = '' AND attname <> 'user_id'
"""

VALUES = {
    "text": "'x'",
    "integer": "1",
    "smallint": "1",
    "bigint": "1",
    "double precision": "1",
    "boolean": "true",
    "uuid": "'00000000-0000-0000-0000-000000000001'",
    "timestamp with time zone": "now()",
    "jsonb": "'{}'",
    "json": "'{}'",
    "bytea": "'x'",
    '"char"': "'m'",
    "halfvec": "'[1]'",
    "text[]": "'{}'",
    "uuid[]": "'{}'",
    "date": "now()",
}


@dataclass(frozen=True)
class Filled:
    """A database with a row of alice and one of bob in every table of users, whatever the tables are."""

    url: str
    tables: tuple[str, ...]
    superuser: str

    async def session(self, **settings: str) -> asyncpg.Connection:
        """Return a session of the ordinary role, outside of neuromem, with the settings made."""
        connection = await asyncpg.connect(parse_dsn(self.url).dsn)
        for name, value in settings.items():
            await connection.execute("SELECT set_config($1, $2, false)", f"neuromem.{name}", value)
        return connection


@pytest.fixture
async def filled(database_url: str, server: Server) -> Filled:
    superuser = server.superuser_dsn(urlsplit(database_url).path[1:])
    connection = await asyncpg.connect(superuser)
    await connection.execute("SET session_replication_role = replica")  # no foreign keys
    for check in await connection.fetch(CHECKS):
        await connection.execute(f'ALTER TABLE {check["table"]} DROP CONSTRAINT "{check["name"]}"')
    tables = [row["name"] for row in await connection.fetch(TABLES) if row["name"] not in GLOBAL_TABLES]
    for table in tables:
        needed = await connection.fetch(NEEDED, table)
        names = "".join(f', "{column["name"]}"' for column in needed)
        values = "".join(f", {VALUES[column['type']]}" for column in needed)
        for user in ("alice", "bob"):
            await connection.execute(
                f"INSERT INTO neuromem.{table} (user_id{names}) VALUES ('{user}'{values})"
            )
    await connection.close()
    return Filled(database_url, tuple(tables), superuser)


async def test_the_catalogue_names_no_table_without_protection(database: Database) -> None:
    async with database.user("anybody") as transaction:
        tables = await transaction.all(TABLES)
        policies = {row.table: row for row in await transaction.all(POLICIES)}
    assert {row.name for row in tables} >= GLOBAL_TABLES | WORKER_TABLES
    for table in tables:
        if table.name in GLOBAL_TABLES:
            continue
        assert (table.enabled, table.forced) == (True, True), table.name
        policy = policies[table.name]  # exactly one: a second permissive one would widen it
        assert policy.cmd == "ALL"
        assert "neuromem.user_id" in policy.qual
        assert policy.with_check == policy.qual
        assert ("neuromem.scope" in policy.qual) == (table.name in WORKER_TABLES), table.name
    assert len(policies) == len(tables) - len(GLOBAL_TABLES)


async def test_user_id_stands_first_in_every_key_and_index(database: Database) -> None:
    async with database.user("anybody") as transaction:
        for row in await transaction.all(INDEXES):
            if row.table not in GLOBAL_TABLES:
                assert (row.first, row.type, row.collation) == ("user_id", "text", "C"), row.index
        for row in await transaction.all(FOREIGN_KEYS):
            if row.target not in GLOBAL_TABLES:
                assert (row.first, row.target_first) == ("user_id", "user_id"), row.name


async def test_global_tables_have_no_column_of_a_user(database: Database) -> None:
    async with database.user("anybody") as transaction:
        columns = await transaction.all(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'neuromem'"
        )
    for row in columns:
        assert row.table_name not in GLOBAL_TABLES or "user" not in row.column_name


async def test_a_session_of_one_user_sees_only_that_users_rows(filled: Filled) -> None:
    connection = await filled.session(user_id="alice")
    for table in filled.tables:
        assert await connection.fetch(f"SELECT DISTINCT user_id FROM neuromem.{table}") == [("alice",)], table
    await connection.close()


@pytest.mark.parametrize(
    "settings", [{}, {"user_id": ""}, {"user_id": "%"}, {"user_id": "ALICE"}, {"scope": "x"}]
)
async def test_a_session_of_nobody_sees_nothing(filled: Filled, settings: dict[str, str]) -> None:
    connection = await filled.session(**settings)
    for table in filled.tables:
        assert await connection.fetchval(f"SELECT count(*) FROM neuromem.{table}") == 0, table
    await connection.close()


async def test_a_session_cannot_write_rows_of_another_user(filled: Filled) -> None:
    connection = await filled.session(user_id="alice")
    superuser = await asyncpg.connect(filled.superuser)
    for table in filled.tables:
        before = await superuser.fetch(f"SELECT * FROM neuromem.{table} WHERE user_id = 'bob' ORDER BY 1, 2")
        assert await connection.execute(f"DELETE FROM neuromem.{table} WHERE user_id = 'bob'") == "DELETE 0"
        assert (
            await connection.execute(f"UPDATE neuromem.{table} SET user_id = 'alice' WHERE user_id = 'bob'")
            == "UPDATE 0"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):  # nor give an own row away
            await connection.execute(f"UPDATE neuromem.{table} SET user_id = 'bob'")
        generated = {"jobs": " OVERRIDING SYSTEM VALUE"}.get(table, "")
        columns = [
            row["attname"]
            for row in await superuser.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 "
                "AND attname <> 'user_id' AND NOT attisdropped",
                f"neuromem.{table}",
            )
        ]
        names = ", ".join(f'"{column}"' for column in columns)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                f"INSERT INTO neuromem.{table} (user_id, {names}){generated} "
                f"SELECT 'carol', {names} FROM neuromem.{table} LIMIT 1"
            )
        after = await superuser.fetch(f"SELECT * FROM neuromem.{table} WHERE user_id = 'bob' ORDER BY 1, 2")
        assert after == before, table
    await connection.close()
    await superuser.close()


async def test_a_worker_sees_the_queue_of_all_and_nothing_they_said(filled: Filled) -> None:
    connection = await filled.session(scope="worker")
    seen = {
        table
        for table in filled.tables
        if await connection.fetchval(f"SELECT count(*) FROM neuromem.{table}") > 0
    }
    assert seen == WORKER_TABLES
    columns = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'neuromem' AND table_name = ANY($1)",
        list(WORKER_TABLES),
    )
    assert not {"content", "value", "name"} & {row["column_name"] for row in columns}
    await connection.close()


async def test_two_users_may_have_a_session_of_the_same_name(nm: NeuroMemory) -> None:
    for user in ("alice", "bob"):
        await nm.ingest(user, "user", f"{user} likes tea", "default")
    for user in ("alice", "bob"):
        found = await nm.recall(user, "Who likes tea?")
        assert [item["content"] for item in found["merged"]] == [f"{user} likes tea"]
        message = await nm.ingest(user, "user", "and coffee", "default")
        assert message.position == 1


async def test_the_setting_of_a_transaction_never_reaches_another(database: Database) -> None:
    """The pool of four serves 400 transactions of 40 users, a tenth of which fail."""

    async def visit(i: int) -> None:
        user = f"user-{i % 40}"
        async with database.user(user) as transaction:
            assert await transaction.value("SELECT current_setting('neuromem.user_id', true)") == user
            await asyncio.sleep(0)
            assert await transaction.value("SELECT current_setting('neuromem.user_id', true)") == user
            if i % 10 == 0:
                raise KeyError(user)

    results = await asyncio.gather(*(visit(i) for i in range(400)), return_exceptions=True)
    assert [str(r) for r in results if r is not None and not isinstance(r, KeyError)] == []
    assert sum(isinstance(r, KeyError) for r in results) == 40
    connections = [await database.pool.take() for _ in range(4)]
    for connection in connections:
        left = await connection.fetchval("SELECT current_setting('neuromem.user_id', true)")
        assert left in (None, "")
        database.pool.give_back(connection)
