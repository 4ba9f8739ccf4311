"""Locks that the system itself releases when their holder dies, however it dies.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLL = 0.02


def open_private(path: Path, flags: int = os.O_RDWR) -> int:
    """Open (and create) a file that only the owner of its folder may use, also when root makes it."""
    fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(fd, folder.st_uid, folder.st_gid)
    return fd


class FileLock:
    """An advisory lock on a file, held by this object until it is released or the process is gone.

    Two objects on one path exclude each other within a process too.
    """

    def __init__(self, path: Path, fd: int | None = None) -> None:
        """Prepare a lock on ``path``; ``fd`` is a lock that another process handed over."""
        self.path = path
        self.fd = fd
        _live.add(self)

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free; return whether it is held now."""
        if self.fd is None:
            self.fd = open_private(self.path)
        try:
            fcntl.flock(self.fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            self.drop()
            return False
        return True

    def acquire(self, *, shared: bool = False, check: Callable[[], object] = lambda: None) -> None:
        """Take the lock, however long it takes; ``check`` is called between tries and may raise."""
        while not self.try_acquire(shared=shared):
            check()
            time.sleep(POLL)

    def release(self) -> None:
        """Release the lock, also for processes that it was handed to."""
        if self.fd is not None:
            fcntl.flock(self.fd, fcntl.LOCK_UN)
            self.drop()

    def drop(self) -> None:
        """Close the file; a process that it was handed to keeps the lock."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


_live: weakref.WeakSet[FileLock] = weakref.WeakSet()


def drop_in_forked_children() -> None:
    """Close the locks in forked children, which would otherwise keep them when this process has ended."""
    os.register_at_fork(after_in_child=_drop_all)


def _drop_all() -> None:
    for lock in list(_live):
        lock.drop()
