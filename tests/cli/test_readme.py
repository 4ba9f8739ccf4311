"""The READMEs tell the truth: settings, commands, links, what can be imported (their blocks run in tests/docs)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from neuromem.config import Settings

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "neuromem-core" / "README.md"


def blocks(path: Path, language: str) -> list[Any]:
    """Return the code blocks of a page as parameters, each named by its line."""
    text = path.read_text(encoding="utf-8")
    return [
        pytest.param(match[1], id=f"{path.parent.name}-{text[: match.start()].count(chr(10)) + 1}")
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("line", blocks(CORE, "json"))
def test_the_line_of_a_history_can_be_imported(line: str, tmp_path: Path) -> None:
    from neuromem.cli.imports.jsonl import MessageFile

    path = tmp_path / "history.jsonl"
    path.write_text(line, encoding="utf-8")
    with path.open("rb") as file:
        (read,) = MessageFile(file, "ana", name="history", session="history", most=1000).lines()
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
