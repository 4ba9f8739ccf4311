"""``neuromem plugins new``: write a complete distribution for a new plugin."""

from __future__ import annotations

from pathlib import Path

import click

from neuromem.cli.output import print_text
from neuromem.cli.plugin_kit.scaffold import KINDS, write_distribution


@click.command("new", short_help="Write a complete distribution for a new plugin.")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(sorted(KINDS)), default="embedding", show_default=True, help="What it offers."
)
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where to make its folder."
)
def new_plugin(name: str, kind: str, into: Path) -> None:
    """Write the distribution neuromem-NAME: code, entry points, and tests by the contract, which pass."""
    files = write_distribution(name, kind, into)
    folder = files[0].parent
    for path in files:
        print_text(f"  {path}")
    print_text(f"\nNow: cd {folder} && pip install -e '.[test]' && pytest")
