"""Homes for embedded servers, left without a process."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.local.process import Client, kill_everything, server_processes, supervisors

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
def home(folder: Path) -> Iterator[Path]:
    """The home of an embedded server that does not exist yet; nothing may run in it afterwards."""
    home = folder / "home"
    yield home
    left = [str(process) for process in [*server_processes(home), *supervisors(home)]]
    kill_everything(home)
    assert not left, f"left running in {home}: {left}"


@pytest.fixture
def client(home: Path) -> Iterator[Callable[[], Client]]:
    """Start processes that use the server of ``home``."""
    clients: list[Client] = []

    def start() -> Client:
        clients.append(Client(home))
        return clients[-1]

    yield start
    for each in clients:
        each.end()
