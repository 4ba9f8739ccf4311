"""Joins a process to the shared server of a home, and lets it leave; blocking calls, on Linux and macOS."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
from multiprocessing import spawn
from pathlib import Path
from typing import TYPE_CHECKING

from neuromem.errors import DatabaseUnavailableError
from neuromem_local import _locks
from neuromem_local._layout import PORT, Layout
from neuromem_local._locks import POLL, FileLock, open_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

CLOSE_PATIENCE = 60.0
INVISIBLE_PATIENCE = 3.0  # a server that is being restarted has no socket for a moment

# The supervisor sees the standard library and this package, nothing of what its starter has installed or set.
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); import json; from neuromem_local._supervisor import main; "
    "main(json.loads(sys.argv[2]))"
)
_KEPT_VARIABLES = ("DYLD_LIBRARY_PATH", "HOME", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
_started: dict[Path, subprocess.Popen[bytes]] = {}  # waited for when they end, so that none stays as a zombie

_locks.drop_in_forked_children()


def join(
    home: Path, engine: Path, settings: Mapping[str, str], held: FileLock | None, check: Callable[[], None]
) -> tuple[FileLock, str]:
    """Make sure that a server runs in ``home``.

    Returns the shared lock that keeps it running, and the folder of its socket. ``held`` is the lock of an earlier
    call; ``check`` is called while waiting, and may raise.
    """
    layout = Layout(home)
    opening = FileLock(layout.opening)
    share = held
    try:
        layout.create()
        opening.acquire(check=check)
        if share is None or share.fd is None:
            share = FileLock(layout.users)
            share.acquire(shared=True, check=check)  # waits for a server that is just stopping
        folder = _find_or_start(layout, engine, settings, check)
    except BaseException as error:
        if share is not None and share is not held:
            share.release()
        if isinstance(error, OSError):
            raise DatabaseUnavailableError(
                f"Cannot use {home} for the embedded PostgreSQL: {error}. Check who owns it and how much "
                "space is left, or choose another folder with NEUROMEM_HOME."
            ) from error
        raise
    finally:
        opening.release()
    return share, folder


def leave(home: Path, share: FileLock) -> None:
    """Release the shared lock; when it was the last one, return after the server has stopped."""
    if share.fd is None:  # inherited by a forked child, which never joined
        return
    share.release()
    layout = Layout(home)
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
            logger.warning("The PostgreSQL of %s is still shutting down; it ends by itself.", home)
    if home in _started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            _started[home].wait(1)


def _find_or_start(
    layout: Layout, engine: Path, settings: Mapping[str, str], check: Callable[[], None]
) -> str:
    started, invisible = False, 0.0
    while True:
        supervisor = FileLock(layout.supervisor)
        if supervisor.try_acquire():  # so there is none
            if started:
                supervisor.release()
                reason = layout.read_state().get("failed") or f"Its supervisor ended.\n{layout.log_tail()}"
                raise DatabaseUnavailableError(f"The embedded PostgreSQL does not start. {reason}")
            try:
                layout.write_state()
                _spawn(layout, engine, settings, supervisor)
            finally:
                supervisor.drop()
            started = True
        elif folder := layout.read_state().get("socket"):
            try:
                if _listens(folder):
                    return str(folder)
            except FileNotFoundError as error:
                invisible += POLL
                if invisible > INVISIBLE_PATIENCE:
                    raise DatabaseUnavailableError(
                        f"The PostgreSQL of {layout.home} runs, but its socket in {folder} cannot be seen "
                        "from here: it was deleted, or the server runs in another container. Stop what "
                        "uses it first."
                    ) from error
        check()
        time.sleep(POLL)


def _spawn(layout: Layout, engine: Path, settings: Mapping[str, str], lock: FileLock) -> None:
    """Start the supervisor and hand ``lock`` over to it, so that it is held without a gap."""
    assert lock.fd is not None
    config = {"home": str(layout.home), "engine": str(engine), "settings": dict(settings), "lock": lock.fd}
    python = os.fsdecode(spawn.get_executable() or sys.executable)
    log = open_private(layout.log, os.O_WRONLY | os.O_APPEND)
    try:
        for home in [home for home, process in _started.items() if process.poll() is not None]:
            del _started[home]
        _started[layout.home] = subprocess.Popen(
            [python, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent.parent), json.dumps(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
            pass_fds=(lock.fd,),
            start_new_session=True,
        )
    finally:
        os.close(log)


def _listens(folder: str) -> bool:
    """Return whether a server answers in ``folder``; the socket alone may be that of a killed one."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.path.join(folder, f".s.PGSQL.{PORT}"))
        except ConnectionRefusedError:
            return False
    return True
