"""Parses each file in a process of its own, limited in time and memory, away from the event loop."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from neuromem.ingest.documents.refused_file import RefusedFileError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from neuromem.config import FileSettings
    from neuromem.domain.documents import FileType

# What Python needs to start. The rest of the environment, API keys among it, must not reach a process that parses
# files of strangers.
_PASSED_ON = frozenset(
    {
        "PATH",
        "PYTHONHOME",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "SYSTEMROOT",
        "TMPDIR",
        "TEMP",
        "TMP",
        "LANG",
    }
)


@dataclass(frozen=True, slots=True)
class ParsedPassage:
    """A passage: its text, its offset in characters, its page from 1 on where there are pages, and its terms."""

    content: str
    start: int
    page: int | None
    terms: list[str]


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """The type of a file, the characters of its text, and its number of passages."""

    kind: FileType
    content_type: str
    characters: int
    passages: int
    _output: IO[bytes]

    def batches(self) -> Iterator[list[ParsedPassage]]:
        """Return the passages in their order, in batches."""
        self._output.seek(0)
        self._output.readline()
        for line in self._output:
            yield [ParsedPassage(*values) for values in json.loads(line)]


class FileParser:
    """Parses files, so many at the same time as the settings say."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._turns = asyncio.Semaphore(settings.parsers)

    @asynccontextmanager
    async def parse(
        self, file: IO[bytes], suffix: str, language: str, *, text: bool
    ) -> AsyncIterator[ParsedFile]:
        """Parse a file; ``text`` says that it is UTF-8 whatever it looks like. `RefusedFileError` when it cannot be."""
        settings = self._settings
        request = {
            "suffix": suffix,
            "text": text,
            "language": language,
            "most": settings.max_text,
            "tokens": settings.passage_tokens,
            "overlap": settings.passage_overlap,
            "memory": settings.parse_memory,
            "seconds": max(1, round(settings.parse_timeout)),
        }
        with tempfile.TemporaryFile() as output:
            async with self._turns:
                code = await self._run(json.dumps(request), file, output)
            output.seek(0)
            header = _header(output.readline()) if code == 0 else None
            if header is None:
                raise RefusedFileError(
                    f"takes more than {settings.parse_timeout:g} s or {settings.parse_memory:,} bytes of memory to "
                    "read (settings.files.parse_timeout, parse_memory), or breaks what reads it."
                )
            if "refused" in header:
                raise RefusedFileError(header["refused"], extra=header["extra"])
            yield ParsedFile(
                header["kind"], header["content_type"], header["characters"], header["passages"], output
            )

    async def _run(self, request: str, source: IO[bytes], target: IO[bytes]) -> int | None:
        """Run the process and return its exit code; None when it took too long."""
        source.flush()
        source.seek(0)
        process = subprocess.Popen(  # noqa: ASYNC220  returns at once; asyncio's own needs certain loops
            [sys.executable, "-P", "-m", "neuromem.ingest.documents.parse_worker", request],
            stdin=source,
            stdout=target,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        ended = asyncio.ensure_future(asyncio.to_thread(process.wait))
        try:
            async with asyncio.timeout(self._settings.parse_timeout):
                return await asyncio.shield(ended)
        except TimeoutError:
            return None
        finally:
            process.kill()
            await ended


def _header(line: bytes) -> dict[str, Any] | None:
    try:
        header = json.loads(line)
    except ValueError:
        return None
    return header if isinstance(header, dict) else None


def _environment() -> dict[str, str]:
    """Return the environment of a Python that finds the modules this one finds."""
    passed_on = {name: value for name, value in os.environ.items() if name.upper() in _PASSED_ON}
    return {
        **passed_on,
        "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
        "PYTHONUTF8": "1",
    }
