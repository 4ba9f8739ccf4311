"""Clean environments with built wheels, made in a second and without an index.

Wheels of this repository are installed for real. What they depend on is linked from the environment that runs
the tests, and only what they declare: an undeclared dependency is missing here as it would be elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import Path as ZipPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass
class Environment:
    """A virtual environment."""

    root: Path
    names: set[str] = field(default_factory=set)

    @classmethod
    def create(cls, root: Path, wheels: Sequence[Path], extras: Iterable[str] = ()) -> Environment:
        """Make an environment that holds the wheels, what they need, and nothing else."""
        venv.create(root, with_pip=False, symlinks=os.name != "nt")
        environment = cls(root)
        environment.pip("install", "--no-index", "--no-deps", *map(str, wheels))
        environment._link(wheels, set(extras))
        return environment

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    def pip(self, *arguments: str) -> str:
        """Run the pip of the environment that runs the tests on this one."""
        quiet = ("--quiet", "--disable-pip-version-check")
        return _output(sys.executable, "-m", "pip", "--python", str(self.python), *arguments, *quiet)

    def run(self, code: str, *arguments: str, **variables: str) -> str:
        """Run code outside of the repository, without what the developer has set; return what it printed."""
        return _output(str(self.python), "-c", code, *arguments, cwd=self.root, **variables)

    def command(self, name: str, *arguments: str, **variables: str) -> str:
        """Run an installed command."""
        return _output(str(self.root / "bin" / name), *arguments, cwd=self.root, **variables)

    def _link(self, wheels: Sequence[Path], extras: set[str]) -> None:
        links = self.root / "dependencies"
        links.mkdir()
        own: set[str] = {canonicalize_name(wheel.name.partition("-")[0]) for wheel in wheels}
        for needed in _closure([_metadata(wheel) for wheel in wheels], extras, own):
            self.names.add(canonicalize_name(needed.name))
            for top in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
                (links / top).symlink_to(Path(str(needed.locate_file(top))))
        (site,) = self.root.glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(f"{links}\n")


def _metadata(wheel: Path) -> Distribution:
    (info,) = (path for path in ZipPath(wheel).iterdir() if path.name.endswith(".dist-info"))
    return PathDistribution(info)


def _closure(roots: Iterable[Distribution], extras: set[str], own: set[str]) -> Iterator[Distribution]:
    """Go through everything that the roots need, the roots themselves left out."""
    queue = [(root, frozenset(extras)) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    found: set[str] = set(own)
    while queue:
        current, wanted = queue.pop()
        for text in current.requires or ():
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            marks = [{"extra": extra} for extra in ("", *wanted)]
            if requirement.marker and not any(requirement.marker.evaluate(mark) for mark in marks):
                continue
            if name in own or (key := (name, frozenset(requirement.extras))) in seen:
                continue
            seen.add(key)
            needed = distribution(name)
            queue.append((needed, key[1]))
            if name not in found:
                found.add(name)
                yield needed


def _output(*command: str, cwd: Path | None = None, **variables: str) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        command, cwd=cwd, env={**kept, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(
            f"{' '.join(command)[:300]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout
