"""Every Python block of every page and README runs, and prints what it says; a page's blocks share a database."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from docs.gen.reference.settings import HEAD as SETTINGS
from tests.conftest import TEMPLATE, Server
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.vendors import local_vendors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", *ROOT.glob("neuromem-*/README.md")])
} | {"docs/gen/reference/settings.py": SETTINGS}
URL = r'"postgresql://[^"]+"'
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def new_database(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Makes a database and lets NEUROMEM_DATABASE_URL lead there."""
    names = []

    def make() -> str:
        names.append(asyncio.run(server.create(TEMPLATE)))
        monkeypatch.setenv("NEUROMEM_DATABASE_URL", server.postgres.url(names[-1]))
        return server.postgres.url(names[-1])

    yield make
    for name in names:
        asyncio.run(server.drop(name))


@pytest.fixture
def places(
    new_database: Callable[[], str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[dict[str, str]]:
    """What stands on the pages, and what stands for it here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEUROMEM_HOME", str(tmp_path / "home"))
    found = {URL: repr(new_database())}
    if "S3Storage" in request.node.callspec.params["text"]:
        server: S3Server = request.getfixturevalue("s3")
        found |= {
            r'"http://localhost:9000"': repr(server.url),
            r'"access-key"': repr(ACCESS_KEY),
            r'"secret-key"': repr(SECRET_KEY),
        }
    with local_vendors(monkeypatch):
        yield found


@pytest.mark.parametrize(
    ("page", "text"),
    [pytest.param(page, text, id=page) for page, text in PAGES.items() if BLOCK.search(text)],
)
def test_every_block_runs_and_prints_what_it_says(
    page: str,
    text: str,
    places: dict[str, str],
    new_database: Callable[[], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for match in BLOCK.finditer(text):
        line = text[: match.start()].count("\n") + 1
        source = match[1]
        if page.endswith("README.md"):  # of several models, one after the other
            places[URL] = repr(new_database())
        for shown, here in places.items():
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
