"""The public API as text: the snapshot it is held to, and the reference. ``python -m tests.docs.api`` writes both."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from docs.gen.reference.api import FACADES
from neuromem import _exports, plugin, testing

SNAPSHOT = Path(__file__).parent / "api.txt"
REFERENCE = Path(__file__).parents[2] / "docs" / "skill" / "references" / "api.md"

HEAD = """# API reference

Written from the code by `python -m tests.docs.api`; a test holds it to that. Everything is imported from `neuromem` and
every method is to be awaited unless it is marked *plain*. `user_id` comes first everywhere, ids are UUID strings,
moments are timezone-aware (a naive one raises `InputError`).
"""


def describe() -> str:
    """Return every public name of the core with its signature, one a line."""
    lines = [line for name in sorted(_exports.CORE) for line in _lines(name, _exports.resolve(name))]
    for title, facade in FACADES.items():
        lines += _methods(title, facade)
    for module in (plugin, testing):
        for name in sorted(module.__all__):
            if name not in _exports.CORE:
                lines += _lines(f"{module.__name__}.{name}", getattr(module, name))
    return "\n".join(lines) + "\n"


def reference() -> str:
    """Return the operations and facades with what their docstrings say first, as Markdown."""
    memory = _exports.resolve("NeuroMemory")
    parts = [
        HEAD,
        f"## NeuroMemory\n\n```\nNeuroMemory{_signature(memory)}\n```\n",
        *_documented("nm", memory),
    ]
    for title, facade in FACADES.items():
        parts += [f"## {title}\n\n{_first(facade)}\n", *_documented(title, facade)]
    parts.append("## Errors\n")
    errors = [_exports.resolve(name) for name in sorted(_exports.CORE) if name.endswith("Error")]
    parts.append(
        "".join(f"- `{error.__name__}` ({error.__base__.__name__}): {_first(error)}\n" for error in errors)
    )
    return "\n".join(parts)


def _documented(title: str, owner: type) -> list[str]:
    found = []
    for line in _methods(title, owner):
        call = line.strip().removeprefix("async ")
        name = call.partition("(")[0].removeprefix(f"{title}.")
        text = _first(inspect.getattr_static(owner, name))
        plain = "*plain* " if "(" in call and not line.startswith("  async") else ""
        found.append(f"- {plain}`{call}`\\\n  {text}\n")
    return ["".join(found)]


def _first(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")


def _lines(name: str, value: Any) -> list[str]:
    if get_origin(value) is Literal:
        return [f"{name}: {' '.join(map(str, get_args(value)))}"]
    if not inspect.isclass(value):
        return [f"{name}{_signature(value)}" if callable(value) else f"{name}: {type(value).__name__}"]
    if issubclass(value, Enum):
        return [f"{name}: {' '.join(member.name for member in value)}"]
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    fields = getattr(value, "model_fields", None) or getattr(value, "__annotations__", {})
    own = _signature(value) if not fields else f" {{{', '.join(f for f in fields if not f.startswith('_'))}}}"
    return [f"class {name}({bases}){own}", *_methods(name, value)]


def _methods(name: str, owner: type) -> list[str]:
    lines = []
    for method in dir(owner):
        value = inspect.getattr_static(owner, method)
        home = next((base.__module__ for base in owner.__mro__ if method in vars(base)), "")
        if method.startswith("_") or not home.startswith("neuromem"):
            continue
        if isinstance(value, property):
            lines.append(f"  {name}.{method}")
        elif inspect.isfunction(unwrapped := getattr(value, "__func__", value)):
            kind = "async " if inspect.iscoroutinefunction(unwrapped) else ""
            lines.append(f"  {kind}{name}.{method}{_signature(unwrapped)}")
    return lines


def _signature(value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != "self"]
    shown = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    return re.sub(r" at 0x[0-9a-f]+", "", shown)


if __name__ == "__main__":
    SNAPSHOT.write_text(describe(), encoding="utf-8")
    REFERENCE.write_text(reference(), encoding="utf-8")
