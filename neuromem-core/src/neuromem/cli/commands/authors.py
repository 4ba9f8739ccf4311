"""``neuromem plugins new`` and ``neuromem plugins check``: for those who write plugins."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from neuromem.cli.output import Failure, echo_json, out, plain, tell
from neuromem.cli.plugin_kit.distribution_check import check_distribution
from neuromem.cli.plugin_kit.scaffold import KINDS, write_distribution


@click.command(short_help="Write a complete distribution for a new plugin.")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(sorted(KINDS)), default="embedding", show_default=True, help="What it offers."
)
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where to make its folder."
)
def new(name: str, kind: str, into: Path) -> None:
    """Write the distribution neuromem-NAME: code, entry points, and tests by the contract, which pass."""
    files = write_distribution(name, kind, into)
    folder = files[0].parent
    for path in files:
        tell(f"  {path}")
    tell(f"\nNow: cd {folder} && pip install -e '.[test]' && pytest")


@click.command(short_help="Check an installed plugin, without its author's tests.")
@click.argument("distribution")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def check(distribution: str, *, as_json: bool) -> None:
    """Check what an installed DISTRIBUTION declares, loads, offers and builds; exits with 1 when something is wrong."""
    findings = check_distribution(distribution)
    if as_json:
        echo_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = plain("ok    ", "green") if finding.problem is None else plain("wrong ", "red")
            out().print(mark.append_text(plain(finding.check)), soft_wrap=True)
            if finding.problem is not None:
                tell(f"      {finding.problem}")
    wrong = sum(finding.problem is not None for finding in findings)
    if wrong:
        raise Failure(f"{wrong} of {len(findings)} checks of {distribution} failed.")
