"""A new distribution passes from the first minute: in a clean environment, its wheel built and installed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from neuromem.cli.app import neuromem
from neuromem.cli.plugin_kit.scaffold import KINDS
from neuromem.registry.hooks import HOOKS
from neuromem.testing.http_server import Reply, Request, running_server
from tests.support.environments import Environment

if TYPE_CHECKING:
    from tests.conftest import Server

pytestmark = pytest.mark.xdist_group("packaging")

CORE = Path(__file__).parents[2] / "neuromem-core"

RECALL = """
import asyncio, sys
from neuromem import AcmeLabsEmbedding, NeuroMemory

async def main():
    async with NeuroMemory(sys.argv[1], "acme-labs", "none", settings={"plugins": {"acme-labs": {"dims": 2}}}) as nm:
        await nm.ingest("alice", "user", "I work at Google")
        await nm.drain()
        found = await nm.recall("alice", "Where does she work?")
        chosen = nm.registry.choose_embedding("acme-labs").value
        print([item["content"] for item in found["vector_results"]], type(chosen) is AcmeLabsEmbedding)

asyncio.run(main())
"""


BUILD = """
import os, sys
from hatchling.build import build_wheel
for folder in sys.argv[2:]:
    os.chdir(folder)
    build_wheel(sys.argv[1])
"""

CHECK = """
import json, sys
from dataclasses import asdict
from neuromem.cli.plugin_kit.distribution_check import check_distribution
print(json.dumps({name: [asdict(finding) for finding in check_distribution(name)] for name in sys.argv[1:]}))
"""

# "acme-labs" is an embedding, the others bear the name of their kind
NAMES = {kind: "acme-labs" if kind == "embedding" else f"acme-{kind}" for kind in KINDS}


def build(to: Path, *folders: Path) -> list[Path]:
    """Build wheels by the standard's own door and return them."""
    to.mkdir()
    done = subprocess.run(
        (sys.executable, "-c", BUILD, str(to), *map(str, folders)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(to.glob("*.whl"))


@dataclass
class Begun:
    """A distribution of every kind, and an environment with their wheels, the core's, and what they declare."""

    environment: Environment
    home: Path

    def folder(self, kind: str) -> Path:
        return self.home / f"neuromem-{NAMES[kind]}"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Begun:
    home = tmp_path_factory.mktemp("author")
    core = build(home / "core", CORE)
    first = Environment.create(home / "first", core, extras=["cli"])
    for kind, name in NAMES.items():
        first.command("neuromem", "plugins", "new", name, "--kind", kind, "--into", str(home))
    wheels = build(home / "wheels", *(home / f"neuromem-{name}" for name in NAMES.values()))
    assert len(wheels) == len(KINDS) == len(HOOKS)
    second = Environment.create(home / "second", [*core, *wheels], extras=["cli", "testing", "test"])
    return Begun(second, home)


PYTEST = "import pytest, sys; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *sys.argv[1:]]))"


def test_its_tests_pass_against_its_wheel(begun: Begun) -> None:
    """As its author runs them: in its folder, with its own settings."""
    said = begun.environment.run(PYTEST, str(begun.folder("embedding")))
    assert " passed" in said
    assert "failed" not in said


async def test_the_tests_of_every_other_kind_pass_against_their_wheels(begun: Begun, server: Server) -> None:
    await server.execute("ALTER ROLE neuromem CREATEDB")
    folders = [str(begun.folder(kind) / "tests") for kind in KINDS if kind != "embedding"]
    address = server.postgres.url("postgres")
    said = await asyncio.to_thread(
        begun.environment.run, PYTEST, "--import-mode=importlib", *folders, NEUROMEM_TEST_DATABASE_URL=address
    )
    await server.execute("ALTER ROLE neuromem NOCREATEDB")
    assert " passed" in said
    assert "failed" not in said


def test_the_check_finds_nothing_wrong_with_any(begun: Begun) -> None:
    distributions = [f"neuromem-{name}" for name in NAMES.values()]
    found = json.loads(begun.environment.run(CHECK, *distributions))
    assert [finding for findings in found.values() for finding in findings if finding["problem"]] == []
    for kind, name in NAMES.items():
        noun = HOOKS[f"neuromem_{kind}s"].noun
        assert {f"plugin {name!r}", f"{noun} {name!r}"} <= {
            finding["check"] for finding in found[f"neuromem-{name}"]
        }


def test_mypy_and_ruff_find_nothing_wrong_with_any(begun: Begun) -> None:
    folders = [begun.folder(kind) for kind in KINDS]
    sources = [path for folder in folders for path in (folder / "src").iterdir()]
    tests = [begun.folder(kind) / "tests" / f"test_{kind}.py" for kind in KINDS]
    mypy = ("mypy", "--strict", "--cache-dir", "cache", "--python-executable", str(begun.environment.python))
    for command in (
        (*mypy, *map(str, [*sources, *tests, begun.folder("embedding") / "tests" / "test_plugin.py"])),
        ("ruff", "check", "--no-cache", *map(str, folders)),
        ("ruff", "format", "--check", "--no-cache", *map(str, folders)),
    ):
        done = subprocess.run(
            (sys.executable, "-m", *command), cwd=begun.home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_neuromem_uses_it_by_name(begun: Begun, database_url: str) -> None:
    def answer(request: Request) -> Reply:
        texts = request.json["input"]
        return Reply(
            {"data": [{"index": n, "embedding": [1.0, len(text) / 9]} for n, text in enumerate(texts)]}
        )

    with running_server() as server:
        server.always = answer
        keys = {"ACME_LABS_API_KEY": "key", "ACME_LABS_BASE_URL": server.url}
        said = begun.environment.run(RECALL, database_url, **keys)
    assert said.strip() == "['I work at Google'] True"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Acme", "cannot be used"),
        ("a/b", "cannot be used"),
        ("openai", "neuromem's own"),
        ("taken", "exists already"),
    ],
)
def test_a_name_that_cannot_be_used_writes_nothing(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "neuromem-taken").mkdir()
    done = CliRunner().invoke(neuromem, ["plugins", "new", name, "--into", str(tmp_path)])
    assert done.exit_code == 1
    assert words in done.output
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
