"""The pytest fixtures work in a project that has nothing but a line in its conftest.py."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Server

TESTS = """
import pytest
from neuromem import NeuroMemory, PluginRegistry

pytestmark = pytest.mark.asyncio


async def test_a_memory(memory: NeuroMemory) -> None:
    await memory.add_memory("alice", "Allergic to peanuts")
    await memory.drain()
    found = await memory.recall("alice", "Is she allergic to peanuts?")
    assert [item["content"] for item in found["merged"]] == ["Allergic to peanuts"]


async def test_that_nobody_else_wrote_to(memory: NeuroMemory, registry: PluginRegistry) -> None:
    assert (await memory.recall("alice", "Is she allergic to peanuts?"))["merged"] == []
    assert "builtin" in {record.origin.plugin for record in registry.records}
"""


def run(folder: Path, **variables: str) -> str:
    """Run the tests of a project of its own and return what pytest said."""
    (folder / "conftest.py").write_text('pytest_plugins = ["neuromem.testing.fixtures"]\n')
    (folder / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_with_the_server_of_the_local_plugin(tmp_path: Path) -> None:
    assert "2 passed" in run(tmp_path)


def test_with_a_server_of_ones_own(tmp_path: Path, server: Server) -> None:
    assert "2 passed" in run(tmp_path, NEUROMEM_TEST_DATABASE_URL=server.postgres.superuser_url())


def test_with_neither_they_are_skipped_and_say_why(tmp_path: Path) -> None:
    said = run(tmp_path, NEUROMEM_DISABLE_PLUGINS="local", NEUROMEM_TEST_DATABASE_URL="")
    assert "2 skipped" in said
    assert "NEUROMEM_TEST_DATABASE_URL" in said
