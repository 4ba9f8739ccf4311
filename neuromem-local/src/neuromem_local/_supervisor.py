"""The process that owns the server: starts it, restarts it, and stops it when no process uses it any more.

Started by `neuromem_local.server` as a detached process of its own. Its only signals go
to its own children, whose ids cannot be reused before it has waited for them, and to processes that the
kernel shows to be running in our data folder.

Standard library only, without site-packages: it starts in a few milliseconds and holds nothing of its user's.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from neuromem_local import _cluster, _identity
from neuromem_local._engine import Engine
from neuromem_local._identity import SetupError
from neuromem_local._layout import PORT, Layout
from neuromem_local._locks import POLL, FileLock, open_private

LONGEST_SOCKET_FOLDER = 85  # the system allows 103 to 107 bytes for the whole name of a socket
LARGEST_LOG = 4 * 2**20
RESTARTS, RESTART_WINDOW = 5, 60.0  # a server that dies more often than this is not restarted
STOP_PATIENCE = (
    300.0  # the last checkpoint of a fast shutdown; after that PostgreSQL recovers at the next start
)

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_prctl = ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None


def _die_with_parent() -> None:
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGINT)  # to PostgreSQL this is a fast, clean shutdown


class Supervisor:
    """Supervises one server from its start to its end."""

    def __init__(self, layout: Layout, engine: Engine, settings: dict[str, str], lock: FileLock) -> None:
        """Take over ``lock``, which the client acquired for this process."""
        self.layout = layout
        self.lock = lock
        self.settings = settings
        self.identity = _identity.choose(layout.home, layout.data)
        identities = [self.identity]
        if not layout.data.exists():
            identities.append(_identity.account_for_initdb(self.identity))
        self.engine = engine.reachable_by(identities, layout.home)
        self.socket: Path | None = None
        self.server: subprocess.Popen[bytes] | None = None
        self.users = FileLock(layout.users)
        self.alone = threading.Event()
        self.told_to_stop = False
        self.wakeup, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        # Handlers, and nothing ignored or blocked: that would be inherited by the server, which must hear us.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_terminate)
        if _prctl is not None:
            _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # backends of a killed server become ours to clear away

    def run(self) -> None:
        """Run the server until no process uses it any more."""
        _cluster.prepare(self.layout, self.identity, self.engine, _die_with_parent)
        threading.Thread(target=self._wait_until_alone, daemon=True).start()
        starts: list[float] = []
        try:
            while not self._is_over():
                starts = [*(t for t in starts if time.monotonic() - t < RESTART_WINDOW), time.monotonic()]
                if len(starts) > RESTARTS:
                    raise SetupError(
                        f"The PostgreSQL of {self.layout.home} died {RESTARTS} times within "
                        f"{RESTART_WINDOW:.0f} seconds; the end of "
                        f"{self.layout.log}:\n{self.layout.log_tail()}"
                    )
                self._start()
                self.layout.write_state(socket=str(self.socket))
                self._watch()
                self.layout.write_state()
        finally:
            self.layout.write_state()
            self._stop()

    def _is_over(self) -> bool:
        return self.alone.is_set() or self.told_to_stop

    def _on_terminate(self, *_: object) -> None:
        self.told_to_stop = True

    def _wait_until_alone(self) -> None:
        # Held until this process ends: whoever comes now waits for the end, then starts a new server.
        self.users.fd = open_private(self.users.path)
        fcntl.flock(self.users.fd, fcntl.LOCK_EX)
        self.alone.set()
        os.write(self._waker, b"\0")

    def _watch(self) -> None:
        assert self.server is not None
        while self.server.poll() is None and not self._is_over():
            if select.select([self.wakeup], [], [], 60)[0]:
                os.read(self.wakeup, 4096)
            self._trim_log()

    def _start(self) -> None:
        held = FileLock(self.layout.cluster)
        self._await_free_data(held)
        data = self.layout.data
        # Nothing of ours runs on this data, so a pid file is stale even if its number lives again elsewhere.
        (data / "postmaster.pid").unlink(missing_ok=True)
        self.socket = self._socket_folder()
        path, fds = _identity.address(self.identity, data)
        assert held.fd is not None
        self._trim_log()
        settings = {
            **self.settings,
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self.socket),
            "unix_socket_permissions": "0700",
        }
        log = open_private(self.layout.log, os.O_WRONLY | os.O_APPEND)
        begin = os.fstat(log).st_size
        try:
            self.server = subprocess.Popen(
                [str(self.engine.postgres), "-D", path, *(f"--{k}={v}" for k, v in settings.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_cluster.ENVIRONMENT,
                pass_fds=(held.fd, *fds),
                preexec_fn=_die_with_parent,
                **self.identity.popen,
            )
        finally:
            for fd in (log, *fds):
                os.close(fd)
            held.drop()  # the server's processes keep it
        while not self._ready() and not self._is_over():  # however long a recovery takes
            if self.server.poll() is not None:
                tail = self.layout.log_tail(begin)
                raise SetupError(
                    f"PostgreSQL did not start on {data}.{_cluster.advice(tail)} The end of "
                    f"{self.layout.log}:\n{tail}"
                )
            time.sleep(POLL)

    def _ready(self) -> bool:
        assert self.server is not None
        try:
            lines = (self.layout.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.server.pid) and lines[7].strip() == "ready"

    def _await_free_data(self, lock: FileLock) -> None:
        # Held: a server whose supervisor was killed is still shutting down, or its last backend is at work.
        since = time.monotonic()

        def hurry() -> None:
            nonlocal since
            self._clear_children()
            if time.monotonic() - since > 5:
                since = time.monotonic()
                _interrupt_leftovers(self.layout.data)

        lock.acquire(check=hurry)

    def _clear_children(self) -> None:
        """Kill the backends that a killed server left; recovery undoes what they had not committed."""
        listing = Path(f"/proc/self/task/{os.getpid()}/children")
        with contextlib.suppress(OSError):
            for pid in listing.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _socket_folder(self) -> Path:
        """Return a short folder that only the server's user may enter, empty."""
        note = self.layout.run / "socket"
        inside = self.layout.home / "socket"
        try:
            folder = Path(note.read_text())
        except OSError:
            folder = inside
        if not _identity.is_socket_folder(folder, self.identity):
            short = len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER
            if short and _identity.can_enter(self.identity, self.layout.home):
                folder = inside
                folder.mkdir(mode=0o700, exist_ok=True)
            else:
                folder = self._short_folder()
            if self.identity.drop:
                os.chown(folder, self.identity.uid, self.identity.gid)
            with open(open_private(note, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
                file.write(str(folder))
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (folder / name).unlink(missing_ok=True)
        return folder

    def _short_folder(self) -> Path:
        for base in (Path("/run") if self.identity.drop else Path(tempfile.gettempdir()), Path("/tmp")):
            if os.access(base, os.W_OK) and len(os.fsencode(base)) < LONGEST_SOCKET_FOLDER - 20:
                return Path(tempfile.mkdtemp(prefix="neuromem-", dir=base))
        raise SetupError(
            "There is no folder with a short name for PostgreSQL's socket: neither the temporary folder "
            "nor /tmp can be written to."
        )

    def _trim_log(self) -> None:
        log = self.layout.log
        with contextlib.suppress(OSError):
            if log.stat().st_size > LARGEST_LOG:
                shutil.copy2(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)  # the server appends, so it goes on at the beginning

    def _stop(self) -> None:
        for number, patience in (
            (signal.SIGINT, STOP_PATIENCE),
            (signal.SIGQUIT, 30.0),
            (signal.SIGKILL, None),
        ):
            if self.server is None or self.server.poll() is not None:
                break
            self.server.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(patience)
        self._clear_children()
        if self.socket is not None and self.server is not None:
            shutil.rmtree(self.socket, ignore_errors=True)
            (self.layout.run / "socket").unlink(missing_ok=True)


def _interrupt_leftovers(data: Path) -> None:
    """Ask every process that runs PostgreSQL in ``data`` to come to an end.

    To a server the signal means a fast shutdown; to a backend without one that its statement is cancelled,
    upon which it notices that it is alone and exits.
    """
    if not Path("/proc/self/cwd").exists():
        _interrupt_by_command_line(data)
        return
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            process = os.pidfd_open(int(entry.name))
            try:
                if (entry / "cwd").samefile(data) and Path(os.readlink(entry / "exe")).name == "postgres":
                    signal.pidfd_send_signal(process, signal.SIGINT)
            finally:
                os.close(process)


def _interrupt_by_command_line(data: Path) -> None:
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=False
    ).stdout
    for line in listing.splitlines():
        pid, _, command = line.strip().partition(" ")
        if f"bin/postgres -D {data} " in command:
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGINT)


def main(config: dict[str, Any]) -> None:
    """Supervise the server that ``config`` describes; a failure is written to the state file."""
    layout = Layout(Path(config["home"]))
    lock = FileLock(layout.supervisor, config["lock"])
    os.set_inheritable(config["lock"], False)
    try:
        Supervisor(layout, Engine(Path(config["engine"])), config["settings"], lock).run()
    except (SetupError, OSError, subprocess.SubprocessError) as error:
        with contextlib.suppress(OSError):
            layout.write_state(failed=str(error))
    finally:
        lock.release()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
