"""The API: what mkdocstrings is to render, page by page. Every public name stands on one of them."""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any, get_type_hints, is_typeddict

from docs.gen.reference.markdown import code, table
from neuromem import _exports, _first_party, plugin, testing
from neuromem.memory import NeuroMemory
from neuromem.plugin import http
from neuromem.testing import contracts

FACADES: dict[str, type] = {
    f"nm.{name}": get_type_hints(value.fget)["return"]
    for name, value in vars(NeuroMemory).items()
    if isinstance(value, property) and not name.startswith("_")
}
"""The facades that hang on an open `NeuroMemory`, by how they are written."""

VALUES = {
    "neuromem.domain.messages": "Messages and sessions",
    "neuromem.domain.memories": "Memories",
    "neuromem.domain.query": "Recall",
    "neuromem.domain.recall_result": "Recall",
    "neuromem.domain.extraction": "Extraction",
    "neuromem.domain.graph": "The graph",
    "neuromem.domain.documents": "Files",
    "neuromem.domain.kv": "Key-value",
}


def pages() -> dict[str, str]:
    """Return the pages by their paths."""
    return {
        "reference/neuromemory.md": _page(
            "NeuroMemory",
            "`from neuromem import NeuroMemory`. Everything is `async`, `user_id` comes first, moments are "
            "timezone-aware.",
            [_class("neuromem.memory.NeuroMemory", inherited=True)],
        ),
        "reference/facades.md": _page(
            "Facades",
            "What hangs on an open `NeuroMemory`. In every method `user_id` comes first.",
            [
                f"## {name}\n\n{_class(_path(facade), level=3, inherited=True)}"
                for name, facade in FACADES.items()
            ],
        ),
        "reference/values.md": _page(
            "Values",
            "What goes in and comes out. All of it can be imported from `neuromem`.",
            list(_values()),
        ),
        "reference/plugin-api.md": _page(
            "For plugin authors",
            "A plugin imports `neuromem.plugin`, `neuromem.plugin.http` and `neuromem.errors`, and nothing else "
            "of the core. [Hooks](hooks.md) has an example of each hook.",
            [
                "## neuromem.plugin\n",
                *(_any(plugin, name) for name in plugin.__all__),
                "## neuromem.plugin.http\n",
                *(_any(http, name) for name in http.__all__),
                "## The registry\n",
                _class("neuromem.registry.PluginRegistry", level=3),
            ],
        ),
        "reference/testing.md": _page(
            "Testing",
            "The fakes come with the core; the contracts and the fixtures need `pip install 'neuromem[testing]'`.",
            [
                "## Fakes\n",
                *(_any(testing, name) for name in testing.__all__),
                "## Fixtures\n\n::: neuromem.testing.fixtures\n    options:\n      show_root_heading: false\n"
                "      heading_level: 3\n",
                "## Contracts\n",
                *(_any(contracts, name, members=False) for name in contracts.__all__),
            ],
        ),
        "reference/providers.md": _page(
            "Providers",
            "The classes of the first-party distributions. Each can be imported from `neuromem` when its "
            "distribution is installed.",
            list(_providers()),
        ),
    }


def _page(title: str, text: str, parts: list[str]) -> str:
    return "\n".join([f"# {title}\n", f"{text}\n", *parts])


def _path(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _class(path: str, *, level: int = 2, inherited: bool = False, members: bool = True) -> str:
    fields = _keys(path)
    members = members and not fields
    options = [f"heading_level: {level}"]
    options += (
        ["inherited_members: true", "members_order: alphabetical", "show_if_no_docstring: false"]
        if inherited
        else []
    )
    options += [] if members else ["members: false"]
    options += ["merge_init_into_class: false"] if ".facades." in path else []
    options += ["show_if_no_docstring: false"] if _is_dataclass(path) else []
    said = "".join(f"      {option}\n" for option in options)
    return f"::: {path}\n    options:\n{said}\n{fields}"


def _keys(path: str) -> str:
    """Return the keys of a TypedDict as a table; nothing for other things."""
    module, _, name = path.rpartition(".")
    thing: Any = getattr(import_module(module), name, None)
    if not is_typeddict(thing):
        return ""
    optional = re.compile(r"^NotRequired\[(.*)\]$")
    rows = [
        (code(key), code(optional.sub(r"\1", kind)), "may be missing" if optional.match(kind) else "")
        for key, kind in _annotations(thing).items()
    ]
    head = ("key", "type", "") if any(row[2] for row in rows) else ("key", "type")
    return table(head, [row[: len(head)] for row in rows]) + "\n"


def _annotations(thing: Any) -> dict[str, str]:
    """Return what stands in the source after each key."""
    return {key: str(getattr(kind, "__forward_arg__", kind)) for key, kind in thing.__annotations__.items()}


def _is_dataclass(path: str) -> bool:
    module, _, name = path.rpartition(".")
    return is_dataclass(getattr(import_module(module), name, None))  # its signature names the fields already


def _any(module: Any, name: str, *, members: bool = True) -> str:
    thing = getattr(module, name)
    home = getattr(thing, "__module__", "")
    owned = home.startswith("neuromem") and hasattr(thing, "__qualname__")
    return _class(_path(thing) if owned else f"neuromem.plugin.markers.{name}", level=3, members=members)


def _values() -> list[str]:
    parts = []
    modules = {module for module in _exports.CORE.values() if module.startswith("neuromem.domain.")}
    order = list(VALUES)
    for module in sorted(
        modules, key=lambda name: (order.index(name) if name in VALUES else len(order), name)
    ):
        parts.append(f"## {VALUES.get(module, module.rpartition('.')[2].capitalize())}\n")
        parts += [
            _class(f"{module}.{name}", level=3)
            for name, home in sorted(_exports.CORE.items())
            if home == module
        ]
    return parts


def _providers() -> list[str]:
    parts: list[str] = []
    for distribution in sorted(set(_first_party.EXPORTS.values())):
        names = [name for name, home in _first_party.EXPORTS.items() if home == distribution]
        parts.append(f"## {distribution}\n")
        for name in sorted(names):
            thing = _exports.resolve(name)
            import_module(thing.__module__)
            parts.append(_class(_path(thing), level=3, inherited=True))
    return parts
