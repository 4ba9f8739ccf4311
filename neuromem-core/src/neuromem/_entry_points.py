"""Installed metadata: the one module that asks which distributions are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import importlib_metadata

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One entry point and the distribution it belongs to.

    ``load()`` imports what it names; whatever that import raises comes through.
    """

    name: str
    value: str
    distribution: str
    version: str
    load: Callable[[], Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Declared:
    """What an installed distribution says of itself."""

    name: str
    version: str
    requires: tuple[str, ...]
    requires_python: str | None
    license: str | None


def entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of ``group``, ordered by name and distribution; nothing is imported.

    A distribution that is found twice on ``sys.path`` (an editable install beside a wheel) counts once: the
    first of the two, because that is the one an import finds.
    """
    found = [
        EntryPoint(point.name, point.value, point.dist.name, point.dist.version, point.load)
        for point in importlib_metadata.entry_points(group=group)
        if point.dist is not None  # for the type checker: whatever was found here has one
    ]
    return sorted(found, key=lambda point: (point.name, point.distribution))


def version(distribution: str) -> str:
    """Return the installed version of ``distribution``."""
    return importlib_metadata.version(distribution)


def declared(distribution: str) -> Declared | None:
    """Return what ``distribution`` says of itself, in whatever spelling it is asked for; None: not installed."""
    try:
        found = importlib_metadata.distribution(distribution)
    except importlib_metadata.PackageNotFoundError:
        return None
    fields = found.metadata
    return Declared(
        found.name,
        found.version,
        tuple(found.requires or ()),
        fields.get("Requires-Python"),
        fields.get("License-Expression") or fields.get("License"),
    )
