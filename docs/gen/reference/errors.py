"""The errors: their tree, and what each one carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# Errors

Everything that neuromem raises on purpose is a `NeuroMemError`; a message says what happened, to whom, and what to do
next, and the cause is chained. No bare driver or HTTP exception reaches you.
"""


def page() -> str:
    """Return the page."""
    tree = [errors.NeuroMemError.__name__, *_branches(errors.NeuroMemError, "")]
    names: list[type[Exception]] = [errors.NeuroMemError, *_below(errors.NeuroMemError)]
    details = [
        f"::: neuromem.errors.{error.__name__}\n    options:\n      heading_level: 3\n" for error in names
    ]
    return "\n".join([HEAD, "```text", *tree, "```\n", "## One by one\n", *details])


def _children(error: type[Exception]) -> list[type[Exception]]:
    return [child for child in error.__subclasses__() if child.__module__ == errors.__name__]


def _below(error: type[Exception]) -> Iterator[type[Exception]]:
    for child in _children(error):
        yield child
        yield from _below(child)


def _branches(error: type[Exception], indent: str) -> Iterator[str]:
    children = _children(error)
    for child in children:
        last = child is children[-1]
        also = [base.__name__ for base in child.__bases__ if base.__module__ == "builtins"]
        more = f" (also a {also[0]})" if also else ""
        yield f"{indent}{'└── ' if last else '├── '}{child.__name__}{more}"
        yield from _branches(child, indent + ("    " if last else "│   "))
