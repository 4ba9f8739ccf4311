"""The reference: every page is made from what the code says of itself."""

from __future__ import annotations

from docs.gen.reference import api, cli, errors, hooks, settings, stages, tables


def pages() -> dict[str, str]:
    """Return the Markdown of every page by its path."""
    return {
        **api.pages(),
        "reference/hooks.md": hooks.page(),
        "reference/settings.md": settings.page(),
        "reference/errors.md": errors.page(),
        "reference/tables.md": tables.page(),
        "reference/cli.md": cli.page(),
        "reference/stages.md": stages.page(),
    }
