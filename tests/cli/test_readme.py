"""The READMEs run: every Python block, what it says it prints, and every setting it names."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.config import Settings
from tests.support.http_server import Reply, Request, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "neuromem-core" / "README.md"
DIMS = {"BAAI/bge-m3": 1024, "text-embedding-3-small": 1536}


def blocks(path: Path, language: str) -> list[Any]:
    """Return the code blocks of a page as parameters, each named by its line."""
    text = path.read_text(encoding="utf-8")
    return [
        pytest.param(match[1], id=f"{path.parent.name}-{text[: match.start()].count(chr(10)) + 1}")
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The vendors' endpoints, on this machine."""

    def answer(request: Request) -> Reply:
        if request.path.endswith("/embeddings"):
            vector = [1.0] * DIMS[request.json["model"]]
            texts = request.json["input"]
            return Reply({"data": [{"index": i, "embedding": vector} for i in range(len(texts))]})
        found = json.dumps({"facts": [], "episodes": [], "profile": {}, "nothing": "small talk"})
        return Reply({"choices": [{"message": {"content": found}, "finish_reason": "stop"}]})

    with running_server() as server:
        server.always = answer
        for vendor in ("OPENAI", "DEEPSEEK", "SILICONFLOW"):
            monkeypatch.setenv(f"{vendor}_API_KEY", "key-of-a-test")
            monkeypatch.setenv(f"{vendor}_BASE_URL", server.url)
        yield


@pytest.mark.usefixtures("vendors")
@pytest.mark.parametrize("source", [*blocks(ROOT / "README.md", "python"), *blocks(CORE, "python")])
async def test_every_python_block_runs_and_prints_what_it_says(
    source: str, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUROMEM_DATABASE_URL", database_url)
    source = re.sub(r'"postgresql://[^"]+"', repr(database_url), source)
    code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, {"__name__": "readme"})
    if inspect.isawaitable(running):
        await running
    printed = capsys.readouterr().out
    for promised in re.findall(r"# -> (.*)", source):
        assert promised in printed


@pytest.mark.parametrize("line", blocks(CORE, "json"))
def test_the_line_of_a_history_can_be_imported(line: str, tmp_path: Path) -> None:
    from neuromem.cli.history import History

    path = tmp_path / "history.jsonl"
    path.write_text(line, encoding="utf-8")
    with path.open("rb") as file:
        (read,) = History(file, "ana", name="history", session="history", most=1000).lines()
    assert read.message["content"] == json.loads(line)["content"]


def test_every_setting_in_the_table_exists_with_that_default() -> None:
    rows = re.findall(r"^\| (`NEUROMEM_\w+`[^|]*)\|([^|]*)\|", CORE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows
    defaults = Settings.load(env={}).model_dump()
    for names, default in rows:
        for name in re.findall(r"NEUROMEM_(\w+)", names):
            value: Any = defaults
            for part in name.lower().split("__"):
                value = value[part]
            if default.strip():
                assert default.strip("` ") == (f"{value:g}" if isinstance(value, float) else str(value))
            else:
                assert not value


def test_every_command_of_the_tour_exists() -> None:
    from neuromem.cli.app import neuromem

    shown = re.findall(r"^neuromem (\w+)", CORE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(neuromem.commands)


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in (ROOT / "README.md", CORE):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"
