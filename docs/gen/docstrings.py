"""Griffe extensions: docstrings become Markdown with links, and delegated methods become methods.

Docstrings are written for `help()`. The methods of `NeuroMemory` stand in its facades; a reader of the source alone, as
griffe is, sees assignments in their places.
"""

from __future__ import annotations

import copy
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


class Delegated(griffe.Extension):
    """Puts the method of a facade where ``name = delegated(Facade, Facade.name)`` stands."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Replace the assignments in `NeuroMemory`."""
        del kwargs
        if pkg.path != "neuromem":
            return
        owner = pkg["memory.NeuroMemory"]
        for name, member in list(owner.members.items()):
            call = member.value if member.is_attribute else None
            if isinstance(call, griffe.ExprCall) and call.function.canonical_name == "delegated":
                method: Any = call.arguments[1]
                owner.set_member(name, copy.copy(pkg[method.canonical_path.removeprefix("neuromem.")]))


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
