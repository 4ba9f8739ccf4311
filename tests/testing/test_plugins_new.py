"""A new distribution passes from the first minute: in a clean environment, its wheel built and installed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from neuromem.cli.app import neuromem
from neuromem.testing.http_server import Reply, Request, running_server
from tests.support.environments import Environment

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
        print([item["content"] for item in found["vector_results"]], type(nm._embedding) is AcmeLabsEmbedding)

asyncio.run(main())
"""


def build(folder: Path, to: Path) -> Path:
    """Build a wheel and return it."""
    command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(to), str(folder))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = to.glob("*.whl")
    return wheel


@dataclass
class Begun:
    """A distribution that was begun, and an environment with its wheel, the core's, and what they declare."""

    environment: Environment
    folder: Path


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Begun:
    home = tmp_path_factory.mktemp("author")
    core = build(CORE, home / "core")
    first = Environment.create(home / "first", [core], extras=["cli"])
    first.command("neuromem", "plugins", "new", "acme-labs", "--kind", "embedding", "--into", str(home))
    folder = home / "neuromem-acme-labs"
    wheel = build(folder, home / "wheel")
    return Begun(
        Environment.create(home / "second", [core, wheel], extras=["cli", "testing", "test"]), folder
    )


def test_its_tests_pass_against_its_wheel(begun: Begun) -> None:
    code = "import pytest, sys; sys.exit(pytest.main([sys.argv[1], '-q', '-p', 'no:cacheprovider']))"
    said = begun.environment.run(code, str(begun.folder))
    assert " passed" in said
    assert "failed" not in said


def test_the_check_finds_nothing_wrong_with_it(begun: Begun) -> None:
    findings = json.loads(
        begun.environment.command("neuromem", "plugins", "check", "neuromem-acme-labs", "--json")
    )
    assert [finding for finding in findings if finding["problem"]] == []
    assert {"plugin 'acme-labs'", "embedding provider 'acme-labs'"} <= {
        finding["check"] for finding in findings
    }


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


@pytest.mark.parametrize("kind", ["retriever", "scorer"])
def test_the_other_kinds_pass_too(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(neuromem, ["plugins", "new", "acme", "--kind", kind, "--into", str(tmp_path)])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "neuromem-acme"
    monkeypatch.setenv("PYTHONPATH", str(folder / "src"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/test_{kind}.py"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr


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
