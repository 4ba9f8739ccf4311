"""Installs what was built as people do, in clean environments from the index, and tries it.

    python -m tests.packaging.matrix dist [3.12 ...]

On every Python that is here: the core alone, with OpenAI, with the local plugin, everything; and everything with the
lowest versions that the distributions allow, with a part of the suite. `dev.py packages` builds and runs this.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

UV = (sys.executable, "-m", "uv")
ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
FOLDERS = ("neuromem-core", "neuromem-openai", "neuromem-siliconflow", "neuromem-s3", "neuromem-local")
EXPORTED = {
    "neuromem-openai": {"OpenAIEmbedding", "OpenAILLM"},
    "neuromem-siliconflow": {"SiliconFlowEmbedding"},
    "neuromem-s3": {"S3Storage"},
    "neuromem-local": {"EmbeddedPostgres", "FolderStorage", "LightEmbedding", "LocalEmbedding"},
}
COMBINATIONS: dict[str, tuple[str, ...]] = {
    "core": ("neuromem",),
    "openai": ("neuromem[cli]", "neuromem-openai"),
    "local": ("neuromem[cli]", "neuromem-local"),
    "all": (
        "neuromem[cli,docx,pdf,testing]",
        "neuromem-openai",
        "neuromem-siliconflow",
        "neuromem-s3",
        "neuromem-local[light]",
    ),
}
# of every room that meets a dependency: SQL, HTTP, parsing of files, models, commands
SLICE = (
    "tests/cli/test_app.py",
    "tests/cli/commands/test_doctor.py",
    "tests/domain",
    "tests/facades/test_kv.py",
    "tests/facades/test_graph.py",
    "tests/ingest/test_add_memory.py",
    "tests/ingest/test_ingest.py",
    "tests/ingest/documents/test_types.py",
    "tests/jobs",
    "tests/local/test_embedding.py",
    "tests/local/test_rules.py",
    "tests/openai",
    "tests/plugin",
    "tests/recall/test_recall.py",
    "tests/registry",
    "tests/s3",
    "tests/siliconflow",
    "tests/store/database/test_database.py",
    "tests/store/schema/test_migrations.py",
    "tests/test_config.py",
    "tests/test_exports.py",
    "tests/test_observe.py",
    "tests/testing/test_first_party_stages.py",
)

SMOKE = """
import asyncio, inspect, json, pydoc, sys
import neuromem
from neuromem import *

missing, present = (set(names) for names in json.loads(sys.argv[1]))
assert "site-packages" in neuromem.__file__, neuromem.__file__
assert NeuroMemory.__name__ == "NeuroMemory"
assert present <= set(neuromem.__all__) and present <= set(dir(neuromem)) and present <= set(globals())
assert missing.isdisjoint(neuromem.__all__) and missing.isdisjoint(dir(neuromem))
assert {name for name, _ in inspect.getmembers(neuromem)} >= set(neuromem.__all__)
assert "class NeuroMemory" in pydoc.plain(pydoc.render_doc("neuromem"))
for name in missing:
    try:
        getattr(neuromem, name)
    except (ImportError, AttributeError) as error:
        assert "pip install neuromem-" in str(error), error
    else:
        raise AssertionError(f"{name} is there")
states = {record.state for record in PluginRegistry.discover().records}
assert states == {"loaded"}, states

async def remember():
    async with NeuroMemory() as nm:
        await nm.ingest(user_id="alice", role="user", content="I work at Google as a backend engineer")
        await nm.drain()
        found = await nm.recall(user_id="alice", query="Where does Alice work?")
        assert "Google" in found["merged"][0]["content"], found

if "LocalEmbedding" in present:
    asyncio.run(remember())
else:
    try:
        NeuroMemory("postgresql://localhost/none")
    except neuromem.ConfigurationError as error:
        assert "pip install neuromem-local" in str(error), error
    else:
        raise AssertionError("it chose an embedding that nobody asked for")
"""


@dataclass(frozen=True)
class Clean:
    """A clean environment."""

    root: Path

    @property
    def python(self) -> str:
        return str(self.root / "bin" / "python")

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run a command with nothing of the developer's settings; what it prints is shown when it fails."""
        kept = {
            n: v for n, v in os.environ.items() if not n.startswith(("NEUROMEM_", "PYTHON", "VIRTUAL_ENV"))
        }
        done = subprocess.run(
            command,
            cwd=cwd or self.root,
            env={**kept, "NEUROMEM_HOME": str(self.root / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = (done.stdout + done.stderr).strip().splitlines()[-25:]
            raise AssertionError(
                f"{' '.join(command)[:100]} ended with {done.returncode}:\n" + "\n".join(lines)
            )
        return done.stdout

    def install(self, *arguments: str) -> None:
        self.run(*UV, "pip", "install", "--quiet", "--python", self.python, *arguments)


def interpreter(version: str) -> str | None:
    """Return a Python of that version: the one that runs this, one on the path, or one of pyenv's."""
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
        return str(Path(sys.base_prefix) / "bin" / "python3")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python3")))]
    for path in filter(None, found):
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.startswith(f"Python {version}."):
            return path
    return None


def lowest(dist: Path, version: str, to: Path) -> Path:
    """Write the lowest version of everything that a distribution asks for, with what these need at their newest."""
    projects = [str(ROOT / folder / "pyproject.toml") for folder in FOLDERS]
    options = ("--no-sources", "--all-extras", "--resolution", "lowest-direct", "--python-version", version)
    subprocess.run(
        (*UV, "pip", "compile", "--quiet", *options, "--find-links", str(dist), "-o", str(to), *projects),
        check=True,
        capture_output=True,
    )
    kept = [line for line in to.read_text().splitlines() if not re.match(r"neuromem\b", line)]
    to.write_text("\n".join(kept) + "\n")
    return to


def wheels(dist: Path, requirements: tuple[str, ...]) -> list[str]:
    """Return the requirements as the wheels that were built: an index may have others of the same name."""
    found = []
    for text in requirements:
        name, _, extras = text.partition("[")
        (wheel,) = dist.glob(f"{name.replace('-', '_')}-[0-9]*.whl")
        found.append(f"{name}[{extras} @ {wheel.as_uri()}" if extras else str(wheel))
    return found


def smoke(clean: Clean, requirements: tuple[str, ...]) -> None:
    """Try what a combination promises."""
    here = {name.partition("[")[0] for name in requirements}
    present = sorted(name for d, names in EXPORTED.items() if d in here for name in names)
    missing = sorted(name for d, names in EXPORTED.items() if d not in here for name in names)
    clean.run(*UV, "pip", "check", "--quiet", "--python", clean.python)
    clean.run(clean.python, "-c", SMOKE, json.dumps([missing, present]))
    if any("cli" in name for name in requirements):
        command = str(clean.root / "bin" / "neuromem")
        shown = json.loads(clean.run(command, "plugins", "--json"))
        assert {plugin["distribution"] for plugin in shown} == here
        if "neuromem-local" in here:
            clean.run(command, "doctor")


def dev_group() -> list[str]:
    """Return what the tests need."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    return [
        text for text in groups if isinstance(text, str) and not re.match(r"mypy|ruff|import-linter|uv", text)
    ]


def attempt(name: str, python: str, dist: Path, folder: Path) -> None:
    """Make one environment and try it."""
    clean = Clean(folder)
    subprocess.run((*UV, "venv", "--quiet", "--python", python, str(folder)), check=True)
    if name != "lowest":
        clean.install(*wheels(dist, COMBINATIONS[name]))
        smoke(clean, COMBINATIONS[name])
        return
    version = clean.run(clean.python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    pins = lowest(dist, version, folder / "lowest.txt")
    clean.install("-r", str(pins), *wheels(dist, COMBINATIONS["all"]))
    smoke(clean, COMBINATIONS["all"])
    clean.install("-c", str(pins), *dev_group())
    pytest = ("-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider")
    print(clean.run(clean.python, *pytest, *SLICE, cwd=ROOT).strip().splitlines()[-1], flush=True)


def main() -> int:
    """Try every combination on every Python; one that fails does not keep the others from being tried."""
    dist, wanted = Path(sys.argv[1]).resolve(), sys.argv[2:] or PYTHONS
    failed = 0
    for version in wanted:
        python = interpreter(version)
        if python is None:
            print(f"{version}: not here")
            failed += version in sys.argv
            continue
        for name in (*COMBINATIONS, "lowest"):
            with tempfile.TemporaryDirectory(prefix="neuromem-") as folder:
                try:
                    attempt(name, python, dist, Path(folder) / "env")
                except (AssertionError, subprocess.CalledProcessError) as error:
                    failed += 1
                    print(f"{version} {name}: FAILED: {error}", flush=True)
                else:
                    print(f"{version} {name}: ok", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
