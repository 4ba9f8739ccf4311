"""A pgbouncer in transaction mode in front of a `Cluster`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.cluster import NOBODY, WHO, free_port

if TYPE_CHECKING:
    from tests.support.cluster import Cluster

CONFIG = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
logfile = {folder}/log.txt
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
"""


def find() -> str | None:
    """Return the program, which systems keep out of an ordinary user's path."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


class PgBouncer:
    """Gives ``size`` connections of the server to up to 200 clients, a transaction at a time."""

    def __init__(self, cluster: Cluster, size: int) -> None:
        program = find()
        assert program is not None
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="nm-", dir="/tmp"))
        (self.folder / "users.txt").write_text('"app" ""\n')
        (self.folder / "pgbouncer.ini").write_text(
            CONFIG.format(server=cluster.port, port=self.port, folder=self.folder, size=size)
        )
        if WHO is not None:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, NOBODY, NOBODY)
        self._process = subprocess.Popen(
            [program, self.folder / "pgbouncer.ini"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=WHO,
            group=WHO,
        )
        log = self.folder / "log.txt"
        deadline = time.monotonic() + 60
        while not (log.exists() and "process up" in log.read_text()):
            assert self._process.poll() is None, log.read_text() if log.exists() else "it did not start"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def url(self, database: str) -> str:
        return f"postgresql://app@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self.folder)
