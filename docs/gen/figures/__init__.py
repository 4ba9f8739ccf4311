"""The figures: diagrams drawn from boxes and arrows, and plots of the very functions that rank."""

from __future__ import annotations

from functools import cache
from html import escape

from docs.gen.figures import diagrams, plots


@cache
def _all() -> dict[str, str]:
    return {**diagrams.drawn(), **plots.drawn()}


def files() -> dict[str, str]:
    """Return every figure by its path in the site."""
    return {f"explanation/figures/{name}.svg": svg for name, svg in _all().items()}


def inline(name: str, alt: str) -> str:
    """Return a figure as a part of a page."""
    described = f'<svg role="img" aria-label="{escape(alt)}" '
    return f'<figure class="drawn">{_all()[name].replace("<svg ", described, 1)}</figure>'
