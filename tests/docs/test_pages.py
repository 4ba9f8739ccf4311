"""The pages tell the truth: every Python block runs, and every name exists."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from click import Group

from neuromem import _exports, plugin
from neuromem._entry_points import entry_points
from neuromem.cli.app import neuromem as command
from neuromem.facades.conversations import Conversations
from neuromem.facades.files import Files
from neuromem.facades.graph import Graph
from neuromem.facades.kv import KeyValue
from neuromem.memory import NeuroMemory
from neuromem.registry import PluginRegistry
from neuromem.registry.hooks import HOOKS
from neuromem.testing import contracts

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), DOCS / "llms.txt"])
FACADES: dict[str, type] = {
    "nm": NeuroMemory, "nm.conversations": Conversations, "nm.files": Files, "nm.graph": Graph, "nm.kv": KeyValue,
}  # fmt: skip


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(language: str) -> list[Any]:
    return [
        pytest.param(match[1], id=f"{page.stem}-{text(page)[: match.start()].count(chr(10)) + 1}")
        for page in PAGES
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("source", blocks("python"))
async def test_every_python_block_runs_and_prints_what_it_says(
    source: str, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUROMEM_DATABASE_URL", database_url)
    code = compile(source, "page.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, {"__name__": "page"})
    if inspect.isawaitable(running):
        await running
    printed = capsys.readouterr().out
    for promised in re.findall(r"# -> (.*)", source):
        assert promised in printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_on_a_page_exists(page: Path) -> None:
    """What stands between backticks and looks like a name of ours is one."""
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    stages = {offer.spec.name for offer in PluginRegistry.discover(env={}).stages()}
    known = {
        *_exports.CORE,
        *(point.name for point in entry_points(_exports.GROUP)),
        *plugin.__all__,
        *contracts.__all__,
    }
    for quoted in re.findall(r"`([^`\n]+)`", prose):
        if match := re.match(r"(nm(?:\.(?:conversations|files|graph|kv))?)\.(\w+)", quoted):
            assert hasattr(FACADES[match[1]], match[2]), quoted
        elif re.fullmatch(r"neuromem_[a-z]+s", quoted):
            assert quoted in HOOKS, quoted
        elif re.fullmatch(r"neuromem(\.[a-z_]+)+", quoted):
            importlib.import_module(quoted)
        elif re.fullmatch(r"(?:[A-Z][a-z]+){2,}|[A-Z]\w+(Error|Spec|Contract)", quoted):
            assert quoted in known, quoted
        elif match := re.fullmatch(r"([a-z_]+)\(\)", quoted):
            assert any(hasattr(owner, match[1]) for owner in FACADES.values()), quoted
    for row in re.findall(r"^\| `(nm\.\w+)` \|(.*)\|$", prose, re.MULTILINE):
        for method in re.findall(r"`(\w+)`", row[1]):
            assert method == "profile" or hasattr(FACADES[row[0]], method), method
    if page.stem == "architecture":
        assert {
            "bm25",
            "vector",
            "conversation",
            "normalized",
            "recency",
            "speaker",
            "time",
            "importance",
        } <= stages


def test_every_command_on_a_page_exists() -> None:
    assert isinstance(command, Group)
    for page in PAGES:
        for name, sub in re.findall(
            r"^(?:neuromem|`neuromem) ([a-z]+)(?: (new|check)\b)?", text(page), re.MULTILINE
        ):
            found = command.commands[name]
            assert not sub or (isinstance(found, Group) and sub in found.commands)
