"""Turns JSON, CSV and HTML into plain text to be indexed."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATH = 4  # last parts of a value's path that are shown
PART = 64  # characters of each that are shown
DELIMITERS = ",;\t|"

_SILENT = frozenset({"script", "style", "noscript", "template", "svg"})
_INLINE = frozenset(
    (
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    )
)
_CELLS = frozenset({"td", "th"})


def plain_json(text: str) -> str:
    """Return a line ``path: value`` for each value; text that cannot be parsed is returned unchanged."""
    try:
        return "\n".join(_flat("", json.loads(text)))
    except (ValueError, RecursionError, MemoryError):
        pass
    try:
        return "\n\n".join(
            "\n".join(_flat("", json.loads(line))) for line in text.splitlines() if line.strip()
        )
    except (ValueError, RecursionError, MemoryError):
        return text


def plain_csv(text: str) -> str:
    """Return a line for each row: ``column: value; ...`` when the first row names the columns."""
    csv.field_size_limit(max(len(text), 1))
    first = text.lstrip("\n").partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        rows = [row for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter) if any(row)]
    except csv.Error:
        return text
    if len(rows) > 1 and _is_header(rows[0]):
        return "\n".join(_row(rows[0], row) for row in rows[1:])
    return "\n".join("; ".join(cell.strip() for cell in row if cell.strip()) for row in rows)


def plain_html(text: str) -> str:
    """Return the visible text of a page; rows of tables are lines."""
    page = _Page()
    page.feed(text)
    page.close()
    lines = (" ".join(line.split()).strip(" |") for line in "".join(page.parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _flat(path: str, value: Any) -> Iterator[str]:
    # Depth is bounded by what json.loads can take.
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _flat(_below(path, key[:PART]), below)
    elif isinstance(value, list):
        for below in value:
            yield from _flat(path, below)
    elif value is not None and value != "":
        shown = value if isinstance(value, str) else json.dumps(value)
        yield f"{path}: {shown}" if path else shown


def _below(path: str, key: str) -> str:
    parts = [*path.split("."), key] if path else [key]
    return ".".join(parts[-PATH:])


def _is_header(row: Sequence[str]) -> bool:
    names = [cell.strip() for cell in row]
    return len(set(names)) == len(names) and all(
        name and len(name) <= PART and not name[0].isdecimal() for name in names
    )


def _row(names: Sequence[str], row: Sequence[str]) -> str:
    named = [
        f"{name.strip()}: {cell.strip()}" for name, cell in zip(names, row, strict=False) if cell.strip()
    ]
    return "; ".join([*named, *(cell.strip() for cell in row[len(names) :] if cell.strip())])


class _Page(HTMLParser):
    """Collects the text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an invisible element or a new line."""
        del attrs
        if tag in _SILENT:
            self._silent += 1
        self._space(tag)

    def handle_endtag(self, tag: str) -> None:
        """End an invisible element or a line."""
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        self._space(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a new line."""
        del attrs
        self._space(tag)

    def handle_data(self, data: str) -> None:
        """Collect visible text."""
        if not self._silent:
            self.parts.append(data)

    def _space(self, tag: str) -> None:
        if tag in _CELLS:
            self.parts.append(" | ")
        elif tag not in _INLINE:
            self.parts.append("\n")
