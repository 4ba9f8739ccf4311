"""Processes that tests start, listen to and kill: forked from a server that has imported neuromem already."""

from __future__ import annotations

import asyncio
import multiprocessing
import traceback
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from multiprocessing.connection import Connection

PATIENCE = 120.0

Report: TypeAlias = "Callable[[Any], None]"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["neuromem.memory", "neuromem.testing", "tests.conftest"])


class Child:
    """A process that runs the coroutine function ``work(report, *arguments)``; `next` gives what it reports."""

    def __init__(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        self._reports, theirs = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_run, args=(theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def next(self) -> Any:
        """Wait for the next report; EOFError when the process is gone, AssertionError when it failed."""
        assert self._reports.poll(PATIENCE), "the process says nothing"
        report = self._reports.recv()
        assert not isinstance(report, _Failure), report.trace
        return report

    def rest(self) -> list[Any]:
        """Return what else it reports until it ends."""
        reports = []
        while True:
            try:
                reports.append(self.next())
            except EOFError:
                self._process.join(PATIENCE)
                return reports

    def kill(self) -> None:
        """End it as the system would: at once, wherever it is."""
        self._process.kill()
        self._process.join(PATIENCE)


class _Failure:
    def __init__(self, trace: str) -> None:
        self.trace = trace


def _run(reports: Connection, work: Callable[..., Awaitable[None]], arguments: tuple[Any, ...]) -> None:
    async def main() -> None:
        await work(reports.send, *arguments)

    try:
        asyncio.run(main())
    except BaseException:
        reports.send(_Failure(traceback.format_exc()))
        raise
