"""The command on a database of its own, with an embedding that costs nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from click.testing import CliRunner, Result

from neuromem.cli.app import neuromem
from tests.support.distributions import Distributions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.conftest import Server

EMBEDDINGS = """
    import asyncio

    from neuromem.plugin import ProviderSpec, hookimpl
    from neuromem.testing import HashEmbedding


    class Hashing(HashEmbedding):
        pass


    class Stuck(HashEmbedding):
        async def embed_batch(self, texts):
            await asyncio.Event().wait()


    class Failing(HashEmbedding):
        async def embed_batch(self, texts):
            raise RuntimeError("the model is on strike")


    def other():
        return Hashing(32, "other")


    KINDS = {None: Hashing, "stuck": Stuck, "failing": Failing, "other": other}


    @hookimpl
    def neuromem_embeddings():
        return [ProviderSpec("hash", lambda ctx: KINDS[ctx.model](), "Hashes words")]
"""


@dataclass
class Cli:
    """Runs the command; whatever it prints is kept apart by stream."""

    server: Server
    database_url: str
    distributions: Distributions
    folder: Path

    def __call__(self, *arguments: str, code: int = 0, stdin: str | None = None) -> Result:
        """Run it in this process and insist on its exit code."""
        result = CliRunner().invoke(neuromem, arguments, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run it and return the JSON on stdout."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def start(self, *arguments: str, stdin: int | IO[bytes] | None = None) -> subprocess.Popen[str]:
        """Start it as a process of its own."""
        path = os.pathsep.join(str(folder) for folder in sorted(self.distributions.root.iterdir()))
        return subprocess.Popen(
            [sys.executable, "-m", "neuromem", *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell starts what it runs in the background with Ctrl-C ignored, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def file(self, name: str, lines: Iterable[Mapping[str, Any]]) -> str:
        """Write JSON Lines and return the file's path."""
        path = self.folder / name
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def rows(self, sql: str) -> list[Mapping[str, Any]]:
        """Run a query as the superuser, who sees everybody's rows."""
        return asyncio.run(self._rows(sql))

    def value(self, sql: str) -> Any:
        """Return the one value of a query."""
        ((value,),) = self.rows(sql)
        return value

    async def _rows(self, sql: str) -> list[Mapping[str, Any]]:
        database = urlsplit(self.database_url).path.lstrip("/")
        connection = await asyncpg.connect(self.server.superuser_dsn(database))
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()


@pytest.fixture
def distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    """A place to install plugins."""
    root = tmp_path / "sites"
    root.mkdir()
    distributions = Distributions(root, monkeypatch)
    yield distributions
    distributions.forget()


@pytest.fixture
def cli(
    server: Server,
    database_url: str,
    distributions: Distributions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cli]:
    """The command on a migrated database, with the embedding ``hash``."""
    distributions.install("acme-hash", plugin="acme", source=EMBEDDINGS)
    monkeypatch.setenv("NEUROMEM_DATABASE_URL", database_url)
    monkeypatch.setenv("NEUROMEM_EMBEDDING", "hash")
    monkeypatch.setenv("NEUROMEM_DISABLE", '["rules"]')  # what is stored is what was said, and nothing else
    monkeypatch.setenv("COLUMNS", "120")
    logger = logging.getLogger("neuromem")
    handlers, level = list(logger.handlers), logger.level
    yield Cli(server, database_url, distributions, tmp_path)
    logger.handlers[:] = handlers
    logger.setLevel(level)
