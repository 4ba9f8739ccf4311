"""The figures: diagrams of boxes and arrows, the rooms as the code has them, and plots of the functions that rank."""

from __future__ import annotations

from functools import cache
from html import escape

from docs.gen.figures import diagrams, plots, rooms


@cache
def _all() -> dict[str, str]:
    return {**diagrams.drawn(), **rooms.drawn(), **plots.drawn()}


def files() -> dict[str, str]:
    """Return every figure by its path in the site."""
    return {f"explanation/figures/{name}.svg": svg for name, svg in _all().items()}


def inline(name: str, alt: str) -> str:
    """Return a figure as a part of a page."""
    described = f'<svg role="img" aria-label="{escape(alt)}" '
    return f'<figure class="drawn">{_all()[name].replace("<svg ", described, 1)}</figure>'
