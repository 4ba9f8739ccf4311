"""Distributions made on the spot: real modules and real metadata on ``sys.path``, without an installer."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@dataclass
class Distributions:
    """Installs small distributions into folders of their own; pytest undoes it."""

    root: Path
    monkeypatch: pytest.MonkeyPatch
    count: int = 0
    modules: list[str] = field(default_factory=list)

    def install(
        self,
        name: str,
        version: str = "1.0",
        *,
        source: str = "",
        plugin: str | None = None,
        module: str | None = None,
        exports: dict[str, str] | None = None,
    ) -> str:
        """Install a distribution with one module of ``source`` and return the module's name.

        ``plugin`` is the entry point's name, ``exports`` maps public names to attributes of the module.
        """
        self.count += 1
        folder = self.root / f"site{self.count}"
        module = module or f"{name.replace('-', '_')}_{self.count}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(dedent(source))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        points = f"[neuromem]\n{plugin} = {module}\n" if plugin else ""
        if exports:
            points += "[neuromem.exports]\n"
            points += "".join(f"{public} = {module}:{attribute}\n" for public, attribute in exports.items())
        (info / "entry_points.txt").write_text(points)
        self.monkeypatch.syspath_prepend(folder)
        self.modules.append(module)
        return module

    def forget(self) -> None:
        """Let the modules be imported anew by the next test."""
        for module in self.modules:
            sys.modules.pop(module, None)
