from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from neuromem.errors import ClosedError, DatabaseUnavailableError
from neuromem_local import EmbeddedPostgres
from tests.local.process import (
    Client,
    postmaster,
    server_processes,
    supervisors,
    wait_until,
    wait_until_stopped,
)

if TYPE_CHECKING:
    from collections.abc import Callable


async def connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(url.replace("+asyncpg", ""))


async def test_an_ordinary_role_owns_a_database_with_pgvector(new_home: Path) -> None:
    server = EmbeddedPostgres(new_home)
    connection = await connect(await server.open())
    try:
        role = await connection.fetchrow(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        assert role is not None
        assert tuple(role) == ("neuromem", False, False, False)
        assert await connection.fetchval("SELECT '[1,2]'::vector <-> '[1,4]'") == 2
        locale = "SELECT datlocale FROM pg_database WHERE datname = 'neuromem'"
        assert await connection.fetchval(locale) == "C.UTF-8"
        assert await connection.fetchval("SELECT 'É' ~* 'é'")
        await connection.execute(
            "CREATE TABLE notes (owner text);"
            "ALTER TABLE notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO notes VALUES ('alice')")
    finally:
        await connection.close()
        await server.close()


async def test_nothing_listens_on_the_network_and_nobody_else_may_enter(home: Path) -> None:
    server = EmbeddedPostgres(home)
    await server.open()
    connection = await connect(server.superuser_url())
    try:
        assert await connection.fetchval("SHOW listen_addresses") == ""
        assert await connection.fetchval("SHOW fsync") == "on"
        rules = await connection.fetch("SELECT type, auth_method FROM pg_hba_file_rules")
        assert [tuple(rule) for rule in rules] == [("local", "peer")]
        socket = await connection.fetchval("SHOW unix_socket_directories")
        for private in (socket, home / "postgres", home / "run"):
            assert os.stat(private).st_mode & 0o077 == 0
        assert (home / "server.log").stat().st_mode & 0o077 == 0
    finally:
        await connection.close()
        await server.close()


async def test_new_databases_have_pgvector_too(home: Path) -> None:
    server = EmbeddedPostgres(home, settings={"fsync": "off"})
    await server.open()
    admin = await connect(server.superuser_url())
    try:
        assert await admin.fetchval("SHOW fsync") == "off"
        await admin.execute('CREATE DATABASE "odd/name?" OWNER neuromem')
        connection = await connect(server.url("odd/name?"))
        assert await connection.fetchval("SELECT '[1]'::vector::text") == "[1]"
        await connection.close()
    finally:
        await admin.close()
        await server.close()


async def test_it_can_be_opened_again_after_closing(home: Path) -> None:
    server = EmbeddedPostgres(home)
    await server.close()
    url = await server.open()
    assert await server.open() == url
    await server.close()
    await server.close()
    assert not server_processes(home)
    with pytest.raises(ClosedError, match="open"):
        server.url()
    assert await server.open() == url
    await server.close()


def test_four_processes_that_start_at_once_share_one_server(
    new_home: Path, client: Callable[[], Client]
) -> None:
    clients = [client() for _ in range(4)]
    for each in clients:
        each.send("open")
    assert len({each.answer() for each in clients}) == 1
    assert len(supervisors(new_home)) == 1
    parents = {process.pid for process in server_processes(new_home)}
    assert [p.pid for p in server_processes(new_home) if p.ppid() not in parents] == [postmaster(new_home)]
    for number, each in enumerate(clients):
        each.ask(f"say {number}")
    assert clients[0].ask("all") == "0 1 2 3"
    for each in clients:
        each.send("close")
    assert {each.answer() for each in clients} == {"closed"}
    wait_until_stopped(new_home)


def test_the_last_one_out_stops_it(home: Path, client: Callable[[], Client]) -> None:
    first, second = client(), client()
    first.ask("open")
    second.ask("open")
    assert first.ask("close") == "closed"
    assert second.ask("say still-here") == "still-here"
    assert second.ask("close") == "closed"
    assert not server_processes(home)


def test_a_client_that_comes_while_the_server_stops_gets_a_new_one(
    home: Path, client: Callable[[], Client]
) -> None:
    leaving, coming = client(), client()
    leaving.ask("open")
    for _ in range(10):
        leaving.send("close")
        coming.send("open")
        leaving.answer()
        coming.answer()
        assert coming.ask("say x")
        leaving, coming = coming, leaving
    assert leaving.ask("close") == "closed"
    assert not server_processes(home)


async def test_two_homes_stand_side_by_side(folder: Path, home: Path) -> None:
    here, there = EmbeddedPostgres(home), EmbeddedPostgres(folder / "other")
    try:
        assert await here.open() != await there.open()
        assert postmaster(home) != postmaster(folder / "other")
        await here.close()
        connection = await connect(there.url())
        await connection.close()
    finally:
        await here.close()
        await there.close()
    wait_until_stopped(folder / "other")


async def test_a_home_with_a_long_name(folder: Path) -> None:
    home = folder / ("long" * 30) / ("name with 空格 and ' quotes" * 3)
    server = EmbeddedPostgres(home)
    try:
        await server.open()
        connection = await connect(server.superuser_url())
        socket = await connection.fetchval("SHOW unix_socket_directories")
        assert len(socket) < 90
        assert os.stat(socket).st_mode & 0o077 == 0
        await connection.close()
    finally:
        await server.close()
    wait_until_stopped(home)
    assert not await asyncio.to_thread(Path(socket).exists)


async def test_an_open_that_is_cancelled_leaves_nothing_behind(new_home: Path) -> None:
    server = EmbeddedPostgres(new_home)
    opening = asyncio.create_task(server.open())
    await asyncio.to_thread(wait_until, lambda: supervisors(new_home), "it starts")
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.to_thread(wait_until_stopped, new_home)
    await server.open()
    await server.close()


async def test_an_open_that_is_cancelled_does_not_take_the_server_from_the_next(home: Path) -> None:
    with ThreadPoolExecutor(1) as in_order:  # what the canceled call does last comes after the next call
        asyncio.get_running_loop().set_default_executor(in_order)
        server = EmbeddedPostgres(home)
        first, second = asyncio.create_task(server.open()), asyncio.create_task(server.open())
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await second
        await asyncio.to_thread(lambda: None)  # everything asked for before is done
        connection = await connect(server.url())
        await connection.close()
        await server.close()


def test_a_forked_child_does_not_keep_the_server(home: Path) -> None:
    server = EmbeddedPostgres(home)
    asyncio.run(server.open())
    ready, end = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end[1])
        os.write(ready[1], b"x")
        os.read(end[0], 1)  # until the parent is done
        os._exit(0)
    try:
        os.read(ready[0], 1)
        asyncio.run(server.close())
        assert not server_processes(home)
    finally:
        for fd in (*ready, *end):
            os.close(fd)
        os.waitpid(child, 0)


async def test_it_refuses_data_of_another_major_version(home: Path) -> None:
    server = EmbeddedPostgres(home)
    await server.open()
    await server.close()
    version = home / "postgres" / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(DatabaseUnavailableError, match=r"made by PostgreSQL 15, and PostgreSQL 18 .*==15"):
        await server.open()
    version.write_text("18\n")
    await server.open()
    await server.close()


async def test_a_server_that_does_not_start_says_why(home: Path) -> None:
    server = EmbeddedPostgres(home, settings={"shared_buffers": "plenty"})
    with pytest.raises(
        DatabaseUnavailableError, match='invalid value for parameter "shared_buffers": "plenty"'
    ):
        await server.open()


async def test_a_folder_that_is_not_a_cluster_is_left_alone(new_home: Path) -> None:
    (new_home / "postgres").mkdir(parents=True)
    (new_home / "postgres" / "letter.txt").write_text("dear diary")
    with pytest.raises(DatabaseUnavailableError, match="not a PostgreSQL data folder"):
        await EmbeddedPostgres(new_home).open()
    assert (new_home / "postgres" / "letter.txt").read_text() == "dear diary"


async def test_a_home_that_cannot_be_made(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(DatabaseUnavailableError, match="NEUROMEM_HOME"):
        await EmbeddedPostgres(folder / "file" / "home").open()


async def test_a_platform_without_binaries(new_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DatabaseUnavailableError, match="database_url"):
        await EmbeddedPostgres(new_home).open()
