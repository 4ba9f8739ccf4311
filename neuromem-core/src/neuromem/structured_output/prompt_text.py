"""Prompts are data: one text file per version, beside the room that uses it."""

from __future__ import annotations

from importlib.resources import files


def read_prompt(package: str, name: str) -> str:
    """Return the text of a prompt.

    Args:
        package: The package whose folder has the file, such as ``neuromem.digest.prompts``.
        name: Its name and version, such as ``digest-1``; stored with everything that came of it.
    """
    return (files(package) / f"{name}.txt").read_text(encoding="utf-8")
