"""Homes for embedded servers, left without a process."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neuromem_local import EmbeddedPostgres
from tests.local.process import Client, kill_everything, wait_until_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

if sys.platform == "win32":
    collect_ignore = ["test_server.py", "test_server_crashes.py", "test_server_root.py"]

is_root = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name that everybody may pass through, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="nm-", dir="/tmp")).resolve()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def new_home(folder: Path) -> Iterator[Path]:
    """The home of an embedded server that does not exist yet; nothing may run in it afterwards."""
    home = folder / "home"
    yield home
    try:
        wait_until_stopped(home)
    finally:
        kill_everything(home)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as the first start makes it, to be copied: making one takes seconds."""
    home = tmp_path_factory.mktemp("cluster")
    server = EmbeddedPostgres(home)
    asyncio.run(server.open())
    asyncio.run(server.close())
    return home / "postgres"


@pytest.fixture
def home(new_home: Path, cluster: Path) -> Path:
    """The home of a server that has run before."""
    new_home.mkdir()
    subprocess.run(["cp", "-a", cluster, new_home], check=True)
    return new_home


@pytest.fixture
def client(new_home: Path) -> Iterator[Callable[[], Client]]:
    """Start processes that use the server of the test's home."""
    clients: list[Client] = []

    def start() -> Client:
        clients.append(Client(new_home))
        return clients[-1]

    yield start
    for each in clients:
        each.end()
