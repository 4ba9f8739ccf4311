from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from neuromem_local import EmbeddedPostgres
from tests.local.process import (
    Client,
    is_busy,
    kill_everything,
    kill_postmaster,
    postmaster,
    server_processes,
    supervisors,
    wait_until,
    wait_until_stopped,
)

if TYPE_CHECKING:
    from collections.abc import Callable

linux_only = pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="only Linux tells a child of its parent's death"
)


def test_a_killed_client_that_was_the_last_one_leaves_no_server(
    home: Path, client: Callable[[], Client]
) -> None:
    first, second = client(), client()
    first.ask("open")
    second.ask("open")
    first.ask("say kept")
    first.kill()
    assert second.ask("all") == "kept"
    second.kill()
    wait_until_stopped(home)
    third = client()
    third.ask("open")
    assert third.ask("all") == "kept"
    third.ask("close")


def test_a_client_killed_while_the_server_starts(new_home: Path, client: Callable[[], Client]) -> None:
    first = client()
    first.send("open")
    wait_until(lambda: supervisors(new_home), "the supervisor lives")
    first.kill()
    wait_until_stopped(new_home)
    second = client()
    second.ask("open")
    assert second.ask("say fine") == "fine"
    second.ask("close")


def test_a_killed_server_comes_back_while_clients_live(home: Path, client: Callable[[], Client]) -> None:
    first = client()
    first.ask("open")
    first.ask("say kept")
    killed = kill_postmaster(home)
    second = client()
    assert second.ask("open") == first.ask("open")
    assert postmaster(home) != killed
    assert second.ask("all") == first.ask("all") == "kept"
    first.ask("close")
    second.ask("close")
    assert not server_processes(home)


async def test_a_busy_backend_of_a_killed_server_does_not_block_the_next(home: Path) -> None:
    server = EmbeddedPostgres(home)
    url = (await server.open()).replace("+asyncpg", "")
    busy = await asyncpg.connect(url)
    pid = await busy.fetchval("SELECT pg_backend_pid()")
    try:
        # it never looks up, so it does not notice that it is alone
        task = asyncio.create_task(busy.execute("DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$"))
        await asyncio.to_thread(wait_until, lambda: is_busy(pid), "the backend is at work")
        kill_postmaster(home)
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await task
        await server.open()
        connection = await asyncpg.connect(url)
        assert (
            await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO $$%'") == 0
        )
        await connection.close()
    finally:
        busy.terminate()
        await server.close()


@linux_only
def test_a_killed_supervisor_takes_the_server_along(home: Path, client: Callable[[], Client]) -> None:
    first = client()
    first.ask("open")
    first.ask("say kept")
    supervisors(home)[0].kill()
    wait_until_stopped(home)
    assert "received fast shutdown request" in (home / "server.log").read_text()
    first.ask("open")
    assert first.ask("all") == "kept"
    first.ask("close")
    assert not server_processes(home)


def test_a_terminated_supervisor_stops_the_server_first(home: Path, client: Callable[[], Client]) -> None:
    first = client()
    first.ask("open")
    supervisors(home)[0].send_signal(signal.SIGTERM)
    wait_until_stopped(home)
    assert (home / "server.log").read_text().rstrip().endswith("database system is shut down")


def test_after_a_power_cut_everything_committed_is_there(home: Path, client: Callable[[], Client]) -> None:
    first = client()
    first.ask("open")
    first.ask("say kept")
    kill_everything(home)
    first.kill()
    second = client()
    second.ask("open")
    assert second.ask("all") == "kept"
    second.ask("close")
    assert "automatic recovery in progress" in (home / "server.log").read_text()


def test_a_pid_file_whose_number_was_given_to_another_process(
    home: Path, client: Callable[[], Client]
) -> None:
    first = client()
    socket = first.ask("open").partition("host=")[2].partition("&")[0]
    first.ask("say kept")
    owner = (home / "postgres").stat()
    files = [home / "postgres" / "postmaster.pid", Path(socket, ".s.PGSQL.5432.lock")]
    kill_everything(home)
    first.kill()
    # of the very user whom PostgreSQL runs as: it would believe its own pid file
    user, group = (owner.st_uid, owner.st_gid) if os.geteuid() == 0 else (None, None)
    stranger = subprocess.Popen(["sleep", "1000"], user=user, group=group)
    try:
        for file in files:
            file.write_text("\n".join([str(stranger.pid), *file.read_text().splitlines()[1:]]) + "\n")
        second = client()
        second.ask("open")
        assert second.ask("all") == "kept"
        second.ask("close")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_cluster_that_was_only_half_made(new_home: Path, client: Callable[[], Client]) -> None:
    (new_home / "postgres.new" / "base").mkdir(parents=True)
    (new_home / "postgres.new" / "PG_VERSION").write_text("18\n")
    first = client()
    first.ask("open")
    assert first.ask("say fine") == "fine"
    first.ask("close")
    assert not (new_home / "postgres.new").exists()


def test_a_server_that_keeps_dying_is_given_up(home: Path, client: Callable[[], Client]) -> None:
    first = client()
    first.ask("open")
    for _ in range(4):
        kill_postmaster(home)
        first.ask("open")
    kill_postmaster(home)
    wait_until(lambda: not supervisors(home), "the supervisor gives up")
    first.ask("open")
    first.ask("close")
