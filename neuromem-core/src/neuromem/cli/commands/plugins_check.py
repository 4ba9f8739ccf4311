"""``neuromem plugins check``: check an installed plugin from the outside."""

from __future__ import annotations

from dataclasses import asdict

import click

from neuromem.cli.output import CommandError, print_json, print_text, safe_text, stdout
from neuromem.cli.plugin_kit.distribution_check import check_distribution


@click.command("check", short_help="Check an installed plugin, without its author's tests.")
@click.argument("distribution")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def check_plugin(distribution: str, *, as_json: bool) -> None:
    """Check what an installed DISTRIBUTION declares, loads, offers and builds; exits with 1 when something is wrong."""
    findings = check_distribution(distribution)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = safe_text("ok    ", "green") if finding.problem is None else safe_text("wrong ", "red")
            stdout().print(mark.append_text(safe_text(finding.check)), soft_wrap=True)
            if finding.problem is not None:
                print_text(f"      {finding.problem}")
    wrong = sum(finding.problem is not None for finding in findings)
    if wrong:
        raise CommandError(f"{wrong} of {len(findings)} checks of {distribution} failed.")
