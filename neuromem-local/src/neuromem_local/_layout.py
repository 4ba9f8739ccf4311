"""The files of one embedded server, among them the locks by which processes coordinate.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem_local._locks import open_private

if TYPE_CHECKING:
    from pathlib import Path

PORT = 5432
ROLE = DATABASE = "neuromem"
SUPERUSER = "postgres"


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of everything under ``home``.

    Four locks tell who is there. ``opening``: one process at a time looks for the server or starts it.
    ``users``: shared by every process that uses the server; the supervisor that gets it exclusively knows
    that nobody is left. ``supervisor``: held by the supervisor. ``cluster``: held by the server's own
    processes, so whoever gets it knows that nothing touches the data, whatever a stale pid file says.
    """

    home: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.home / "postgres"

    @property
    def run(self) -> Path:
        """Locks and state; only the owner of the home enters."""
        return self.home / "run"

    @property
    def opening(self) -> Path:
        """Lock file, see the class."""
        return self.run / "opening.lock"

    @property
    def users(self) -> Path:
        """Lock file, see the class."""
        return self.run / "users.lock"

    @property
    def supervisor(self) -> Path:
        """Lock file, see the class."""
        return self.run / "supervisor.lock"

    @property
    def cluster(self) -> Path:
        """Lock file, see the class."""
        return self.run / "cluster.lock"

    @property
    def log(self) -> Path:
        """The log of the server and its supervisor."""
        return self.home / "server.log"

    def create(self) -> None:
        """Create the folders that are missing; existing ones are not changed."""
        as_root = os.geteuid() == 0
        if not self.home.is_dir():
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if as_root:  # the server runs as another user, who must pass through the home but not look around
                self.home.chmod(0o711)
        if not self.run.is_dir():
            self.run.mkdir(mode=0o700, exist_ok=True)
            if as_root:
                owner = self.home.stat()
                os.chown(self.run, owner.st_uid, owner.st_gid)

    def read_state(self) -> dict[str, Any]:
        """Return the state that the supervisor wrote last: ``socket`` once the server is ready, or ``failed``."""
        try:
            state = json.loads((self.run / "state.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def write_state(self, **state: Any) -> None:
        """Replace the state atomically; without arguments it is removed."""
        target, fresh = self.run / "state.json", self.run / "state.new"
        if not state:
            target.unlink(missing_ok=True)
            return
        with open(open_private(fresh, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
            json.dump(state, file)
        fresh.replace(target)

    def log_tail(self, start: int = 0, lines: int = 12) -> str:
        """Return the last lines of the log, from byte ``start`` on."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(start, file.seek(0, os.SEEK_END) - 16_384))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])
