"""Prompts are data: one text per version, named in the origin of everything that came of it."""

from __future__ import annotations

from importlib.resources import files


def read(name: str) -> str:
    """Return a prompt by name and version, such as ``extraction-3``."""
    return (files(__name__) / f"{name}.txt").read_text(encoding="utf-8")
