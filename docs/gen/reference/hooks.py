"""The hooks: what each one offers, the contract that tests it, and a complete example."""

from __future__ import annotations

import re
from typing import Any

from docs.gen.docstrings import to_markdown
from docs.gen.reference.markdown import code, doc, table
from neuromem.plugin import hookspecs
from neuromem.registry.hooks import HOOKS, Hook
from neuromem.testing import contracts

HEAD = """# Hooks

A plugin is a module, or an object, with functions marked `@hookimpl`. A hook is a plain `def` without arguments that
returns, or yields, descriptors; what waits is an `async def` method of the object that a descriptor's factory builds.
An entry point makes the module known:

```toml
[project.entry-points.neuromem]
acme = "neuromem_acme.plugin"
```

Import what is heavy inside the factory: hooks are called whenever neuromem starts, a factory only when its object is
chosen. The examples on this page are executed by the tests. How to begin:
[your first plugin](../tutorials/first-plugin.md).
"""


def page() -> str:
    """Return the page."""
    rows = [
        (
            f"[`{name}`](#{name})",
            code(hook.spec.__name__),
            code(_product(name)),
            code(f"{'async ' if hook.waits else ''}{hook.method}()") if hook.method else "",
            code(_contract(hook)),
        )
        for name, hook in HOOKS.items()
    ]
    head = ("hook", "descriptor", "the factory builds", "which must have", "contract")
    details = [f"## {name}\n\n{to_markdown(doc_of(name))}\n" for name in HOOKS]
    return "\n".join([HEAD, table(head, rows) + "\n", *details])


def doc_of(name: str) -> str:
    """Return a hook's docstring."""
    return doc(getattr(hookspecs, name))


def _product(name: str) -> str:
    """Return what a hook's factories build, as its annotation says."""
    said: str = getattr(hookspecs, name).__annotations__["return"]
    inner = re.fullmatch(r"Iterable\[\w+\[(\w+)\]\]", said)
    return inner[1] if inner else "click.Command"


def _contract(hook: Hook[Any]) -> str:
    wanted = hook.name.removeprefix("neuromem_").removesuffix("s").capitalize()
    names = {"Llm": "LLMContract", "Command": "PluginContract"}
    name = names.get(wanted, f"{wanted}Contract")
    assert name in contracts.__all__, name
    return name
