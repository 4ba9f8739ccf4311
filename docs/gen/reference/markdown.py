"""Small pieces of Markdown that the pages share."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; what would end a cell is escaped, which it does not within code."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)


def _escaped(cell: str) -> str:
    parts = cell.split("`")
    return "`".join(part if number % 2 else part.replace("|", "\\|") for number, part in enumerate(parts))


def code(text: str) -> str:
    """Return inline code, or nothing for an empty text."""
    return f"`{text}`" if text else ""


def doc(thing: object) -> str:
    """Return a docstring as Markdown: ``x`` becomes `x`."""
    return (inspect.getdoc(thing) or "").replace("``", "`")


def first(thing: object) -> str:
    """Return the first sentence of a docstring, in one line."""
    return " ".join(doc(thing).partition("\n\n")[0].split())
