"""A griffe extension: docstrings are written for `help()`; here they become Markdown, with links between the names."""

from __future__ import annotations

import re
from typing import Any

import griffe

from neuromem import _exports

KNOWN = {name: f"{module}.{name}" for name, module in _exports.CORE.items()}


class Markdown(griffe.Extension):
    """Rewrites every docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite one."""
        del kwargs
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value, own=obj.path)


def to_markdown(text: str, own: str = "") -> str:
    """Return a docstring as Markdown: examples fenced, terms as a list, names of ours as links."""
    text = re.sub(r"^::\n\n((?:    .*\n|\n)*(?:    .*)?)", _fenced, text, flags=re.MULTILINE)
    text = re.sub(r"^``(\w+)``\n    (.+)$", r"- ``\1``: \2", text, flags=re.MULTILINE)
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        part if part.startswith("```") else _linked(part.replace("``", "`"), own) for part in parts
    )


def _fenced(example: re.Match[str]) -> str:
    lines = [line.removeprefix("    ") for line in example[1].strip("\n").splitlines()]
    language = "" if "──" in example[1] or "[project." in example[1] else "python"
    return "\n".join([f"```{language}", *lines, "```\n"])


def _linked(text: str, own: str) -> str:
    def link(name: re.Match[str]) -> str:
        path = KNOWN.get(name[1].removeprefix("neuromem."))
        return f"[`{name[1]}`][{path}]" if path is not None and path != own else name[0]

    return re.sub(r"(?<!\[)`([\w.]+)`(?!\])", link, text)
