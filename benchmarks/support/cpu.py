"""CPU time of this process and of a local PostgreSQL, in nanoseconds of the scheduler (Linux)."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.support.server import Place

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds: of this process, of all of PostgreSQL's processes, of everything on the machine."""

    client: float
    server: float
    machine: float

    @property
    def both(self) -> float:
        """Client and server."""
        return self.client + self.server

    def __sub__(self, earlier: Used) -> Used:
        return Used(
            self.client - earlier.client, self.server - earlier.server, self.machine - earlier.machine
        )


class Meter:
    """Reads the clocks; a server on another machine, or outside of this one's view, counts as 0."""

    def __init__(self, postmaster: int | None) -> None:
        self._postmaster = postmaster

    @classmethod
    async def of(cls, where: Place) -> Meter:
        """Return a meter for the server of a place."""
        connection = await where.connect()
        try:
            backend = int(await connection.fetchval("SELECT pg_backend_pid()"))
            local = await connection.fetchval("SELECT inet_client_addr()") is None
            return cls(_parent(backend) if local else None)
        finally:
            await connection.close()

    @property
    def sees_server(self) -> bool:
        """Whether the server's CPU time can be read."""
        return self._postmaster is not None

    def read(self) -> Used:
        """Return what was used until now."""
        return Used(time.process_time(), self._server(), _machine())

    def _server(self) -> float:
        if self._postmaster is None:
            return 0.0
        children = PROC / str(self._postmaster) / "task" / str(self._postmaster) / "children"
        try:
            pids = [str(self._postmaster), *children.read_text().split()]
        except OSError:
            return 0.0
        return sum(_scheduled(pid) for pid in pids) + _ended(str(self._postmaster))


@dataclass(frozen=True, slots=True)
class Timing:
    """Of many calls: wall milliseconds, and CPU milliseconds of client and server per call."""

    calls: int
    p50: float
    p95: float
    client: float
    server: float

    @property
    def cpu(self) -> float:
        """CPU of both."""
        return self.client + self.server


class Stopwatch:
    """Times calls one by one; the clocks of the CPU are read outside of the wall time."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._wall: list[float] = []
        self._client = 0.0
        self._server = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time what happens inside."""
        server = self._meter.read().server
        client = time.process_time()  # last, and first below: reading the server's clocks costs this process
        began = time.perf_counter()
        yield
        self._wall.append(time.perf_counter() - began)
        self._client += time.process_time() - client
        self._server += self._meter.read().server - server

    @property
    def seconds(self) -> float:
        """The wall time of all calls."""
        return sum(self._wall)

    def timing(self) -> Timing:
        """Return what was timed."""
        wall = sorted(self._wall)
        n = len(wall)
        return Timing(
            n,
            1000 * median(wall),
            1000 * wall[min(n - 1, int(0.95 * n))],
            1000 * self._client / n,
            1000 * self._server / n,
        )


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int((PROC / "self" / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _scheduled(pid: str) -> float:
    try:
        return int((PROC / pid / "schedstat").read_text().split()[0]) / 1e9
    except OSError:  # it ended meanwhile
        return 0.0


def _ended(pid: str) -> float:
    """Return the CPU seconds of a process's ended children: parallel workers live for one statement."""
    try:
        fields = (PROC / pid / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _machine() -> float:
    try:
        fields = (PROC / "stat").read_text().partition("\n")[0].split()[1:]
    except OSError:
        return 0.0
    idle = int(fields[3]) + int(fields[4])
    return (sum(int(field) for field in fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def _parent(pid: int) -> int | None:
    try:
        return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return None
