"""Writes a complete distribution for a plugin: code, entry points, tests by the contract; needs no extra."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from neuromem._first_party import EXPORTS
from neuromem.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "embedding": "an embedding provider",
    "retriever": "a source of candidates for recall",
    "scorer": "a signal for recall",
}
"""What can be begun, and how its description reads."""

_SWITCH = (
    'Switch it on with `NEUROMEM_ENABLE=\'["$plugin"]\'`, or `NeuroMemory(settings={"enable": ["$plugin"]})`.'
)
_USAGE = {
    "embedding": (
        "```\nNEUROMEM_EMBEDDING=$plugin ${VARIABLE}_API_KEY=...\n```\n\n"
        'or `NeuroMemory(embedding="$plugin")`, or `from neuromem import $Class`.'
    ),
    "retriever": _SWITCH,
    "scorer": _SWITCH,
}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_distribution(name: str, kind: str, into: Path) -> list[Path]:
    """Write the distribution ``neuromem-NAME`` into a new folder of that name; returns the files.

    Raises `InputError` when the name cannot be used or the folder exists; nothing is written then.
    """
    plugin = name.removeprefix("neuromem-")
    distribution, package = f"neuromem-{plugin}", f"neuromem_{plugin.replace('-', '_')}"
    if not _NAME.fullmatch(plugin) or plugin == "none":
        raise InputError(
            f"The name {name!r} cannot be used: lower-case letters, digits and single hyphens, as 'acme'."
        )
    if distribution in EXPORTS.values() or plugin in {"core", "builtin"}:
        raise InputError(f"{distribution} is neuromem's own: give your distribution another name.")
    folder = into / distribution
    if folder.exists():
        raise InputError(
            f"{folder} exists already: remove it, or choose another name or --into another folder."
        )
    words = plugin.split("-")
    values = {
        "plugin": plugin, "distribution": distribution, "package": package, "kind": kind, "summary": KINDS[kind],
        "Name": " ".join(word.capitalize() for word in words), "VARIABLE": plugin.replace("-", "_").upper(),
        "Class": "".join(word.capitalize() for word in words) + kind.capitalize(),
        "year": str(datetime.now(UTC).year),
    }  # fmt: skip
    values["usage"] = Template(_USAGE[kind]).substitute(values)
    source, tests = folder / "src" / package, folder / "tests"
    places = {
        folder / "pyproject.toml": ("distribution", "pyproject.toml"),
        folder / "README.md": ("distribution", "README.md"),
        folder / "LICENSE": ("distribution", "LICENSE"),
        source / "__init__.py": ("distribution", "init.py"),
        source / "plugin.py": (kind, "plugin.py"),
        source / f"{kind}.py": (kind, "code.py"),
        tests / "test_plugin.py": ("distribution", "test_plugin.py"),
        tests / f"test_{kind}.py": (kind, "test.py"),
    }
    texts = {path: _template(*place).substitute(values) for path, place in places.items()}
    texts[source / "py.typed"] = ""
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _template(kind: str, name: str) -> Template:
    place = resources.files("neuromem.cli").joinpath("templates", kind, f"{name}.txt")
    return Template(place.read_text(encoding="utf-8"))
