"""The rooms of the core, drawn from the code: layers from the import-linter contracts, words from the docstrings."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from docs.gen.figures.draw import LINE, Drawing

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "neuromem-core" / "src"
WIDTH = 720
LONGEST = 80  # characters of a sentence that fit beside a name


def drawn() -> dict[str, str]:
    """Return the figures by name: the core and, in more detail, its store."""
    return {"rooms": _layers("rooms"), "store-rooms": _layers("store")}


def layers(contract: str) -> tuple[str, list[list[str]]]:
    """Return the package that a layers contract of pyproject.toml is about, and its layers, the highest first."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    found = next(one for one in linter["contracts"] if one["id"] == contract)
    return found["containers"][0], [re.split(r"\s*[|:]\s*", layer) for layer in found["layers"]]


def sentence(package: str, room: str) -> str:
    """Return the first line of a room's docstring, without its full stop."""
    place = SOURCE.joinpath(*package.split("."), room)
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    first = (
        (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
        .partition("\n")[0]
        .replace("`", "")
    )
    return first.rstrip(".") if len(first) <= LONGEST else f"{first[:LONGEST].rpartition(' ')[0]} …"


def _layers(contract: str) -> str:
    package, rows = layers(contract)
    d = Drawing(WIDTH, 16 + sum(LINE * len(rooms) + 19 for rooms in rows))
    y = 8.0
    for rooms in rows:
        height = LINE * len(rooms) + 13
        d.box(8, y, WIDTH - 16, height, "")
        for number, room in enumerate(rooms):
            line = y + 20 + LINE * number
            d.text(22, line, room, bold=True, anchor="start")
            d.text(172, line, sentence(package, room), small=True, anchor="start")
        y += height + 6
    return d.svg()
