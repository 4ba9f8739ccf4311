"""Every Python block of every page and README runs, and prints what it says; the blocks of a page share a database."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from docs.gen.reference.settings import HEAD as SETTINGS
from neuromem.memory import NeuroMemory
from tests.conftest import TEMPLATE, Server
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.vendors import local_vendors

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(
        [
            *ROOT.glob("docs/**/*.md"),
            *ROOT.glob("*.md"),
            *ROOT.glob("neuromem-*/*.md"),
            *ROOT.glob("benchmarks/*.md"),
        ]
    )
} | {"docs/gen/reference/settings.py": SETTINGS}
URL = r'"postgresql://[^"]+"'
OTHER = re.compile(r"HashEmbedding|OpenAI|SiliconFlow|openai|siliconflow|Letters")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def opened_locally(server: Server) -> Iterator[str]:
    """A database that was opened with the local embedding, which takes a second: to copy."""
    name = asyncio.run(server.create(TEMPLATE))

    async def open_it() -> None:
        async with NeuroMemory(server.postgres.url(name), "local"):
            pass

    asyncio.run(open_it())
    yield name
    asyncio.run(server.drop(name))


@pytest.fixture
def databases(server: Server, opened_locally: str) -> Iterator[dict[bool, str]]:
    """Two databases: for blocks with the local embedding, and for those that name another one."""
    names = {
        other: asyncio.run(server.create(TEMPLATE if other else opened_locally)) for other in (False, True)
    }
    yield {other: server.postgres.url(name) for other, name in names.items()}
    for name in names.values():
        asyncio.run(server.drop(name))


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What stands on the pages, and what stands for it here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEUROMEM_HOME", str(tmp_path / "home"))
    if "S3Storage" not in request.node.callspec.params["text"]:
        return {}
    server: S3Server = request.getfixturevalue("s3")
    return {
        r'"http://localhost:9000"': repr(server.url),
        r'"access-key"': repr(ACCESS_KEY),
        r'"secret-key"': repr(SECRET_KEY),
    }


@pytest.mark.parametrize(
    ("page", "text"),
    [pytest.param(page, text, id=page) for page, text in PAGES.items() if BLOCK.search(text)],
)
def test_every_block_runs_and_prints_what_it_says(
    page: str,
    text: str,
    places: dict[str, str],
    databases: dict[bool, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with local_vendors(monkeypatch):
        for match in BLOCK.finditer(text):
            line = text[: match.start()].count("\n") + 1
            database_url = databases[OTHER.search(match[1]) is not None]
            monkeypatch.setenv("NEUROMEM_DATABASE_URL", database_url)
            source = match[1]
            for shown, here in {**places, URL: repr(database_url)}.items():
                source = re.sub(shown, here.replace("\\", "\\\\"), source)
            _run("\n" * line + source, page)
            printed = capsys.readouterr().out
            for promised in re.findall(r"# -> (.*)", source):
                assert promised in printed, f"{page}:{line} printed {printed!r}"


def _run(source: str, page: str) -> None:
    code = compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running: Any = eval(code, {"__name__": "page"})
    if inspect.iscoroutine(running):
        asyncio.run(running)
