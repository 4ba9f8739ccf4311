"""The pages tell the truth: every name, hook, module and command on them exists."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click import Group

from docs.gen.reference import api
from neuromem import _exports, plugin, testing
from neuromem._entry_points import entry_points
from neuromem.cli.app import neuromem as command
from neuromem.config import Settings
from neuromem.memory import NeuroMemory
from neuromem.observe import EVENTS
from neuromem.registry import PluginRegistry
from neuromem.registry.hooks import HOOKS
from neuromem.testing import contracts

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), DOCS / "llms.txt"])
FACADES = {"nm": NeuroMemory, **api.FACADES}


ARGUMENTS = {
    name
    for owner in FACADES.values()
    for home in owner.__mro__
    for method in vars(home).values()
    if inspect.isfunction(method)
    for name in inspect.signature(method).parameters
} | {field.name for field in fields(plugin.StageSpec)}
ATTRIBUTES = set(EVENTS)  # of an instance: callbacks that can be set at any time
OTHERS = {"NEUROMEM_HOME", "NEUROMEM_DISABLE_PLUGINS", "NEUROMEM_TEST_DATABASE_URL"}


def is_setting(path: list[str]) -> bool:
    """Whether the settings have that name."""
    model: Any = Settings
    for part in path:
        if not hasattr(model, "model_fields") or part not in model.model_fields:
            return False
        model = model.model_fields[part].annotation
    return True


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


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
        *testing.__all__,
    }
    for quoted in re.findall(r"`([^`\n]+)`", prose):
        if match := re.match(r"(nm(?:\.(?:conversations|files|graph|kv))?)\.(\w+)", quoted):
            assert hasattr(FACADES[match[1]], match[2]) or match[2] in ATTRIBUTES, quoted
        elif re.fullmatch(r"neuromem_[a-z]+s", quoted):
            assert quoted in HOOKS, quoted
        elif re.fullmatch(r"neuromem(\.[a-z_]+)+", quoted):
            importlib.import_module(quoted)
        elif re.fullmatch(r"(?:[A-Z][a-z]+){2,}|[A-Z]\w+(Error|Spec|Contract)", quoted):
            assert quoted in known, quoted
        elif match := re.match(r"NEUROMEM_(\w+)", quoted):
            assert is_setting(match[1].lower().split("__")) or match[0] in OTHERS, quoted
        elif match := re.fullmatch(r"(\w+)=(\S*)", quoted):
            assert match[1] in ARGUMENTS, quoted
        elif (
            re.fullmatch(r"[a-z0-9]+\.[a-z_0-9]+", quoted)
            and quoted.partition(".")[0] in Settings.model_fields
        ):
            assert is_setting(quoted.split(".")), quoted
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
        fenced = "".join(re.findall(r"^```\w*\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL))
        typed = re.findall(r"^neuromem ([a-z]+)(?: ([a-z]+))?", fenced, re.MULTILINE)
        typed += re.findall(r"`neuromem ([a-z]+)(?: ([a-z]+))?", text(page))
        for name, sub in typed:
            found = command.commands[name]
            assert not isinstance(found, Group) or not sub or sub in found.commands, f"{page}: {name} {sub}"
