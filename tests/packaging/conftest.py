"""Everything is built once, and installed into environments of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dev
from tests.support.environments import Environment

ROOT = Path(__file__).parents[2]
NAMES = dev.DISTRIBUTIONS
ACME = Path(__file__).parent / "data" / "neuromem-acme"


def build(folder: Path, to: Path) -> None:
    """Build an sdist, and the wheel from it: what the sdist lacks, the wheel would lack, too."""
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", str(to), str(folder))
    env = {**os.environ, "SOURCE_DATE_EPOCH": dev.moment_of_the_commit()}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheels and sdists of all five distributions."""
    folder = tmp_path_factory.mktemp("dist")
    for name in NAMES:
        build(ROOT / name, folder)
    return folder


@pytest.fixture(scope="session")
def core_wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("neuromem-[0-9]*.whl")
    return wheel


@pytest.fixture(scope="session")
def core_only(core_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the core and what it declares to need."""
    return Environment.create(tmp_path_factory.mktemp("core"), [core_wheel])


@pytest.fixture(scope="session")
def with_acme(core_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the core, its command line, and a stranger's distribution."""
    built = tmp_path_factory.mktemp("acme-dist")
    build(ACME, built)
    wheels = [core_wheel, *built.glob("*.whl")]
    return Environment.create(tmp_path_factory.mktemp("acme"), wheels, extras=["cli"])
