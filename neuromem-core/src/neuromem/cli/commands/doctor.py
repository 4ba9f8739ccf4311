"""``neuromem doctor``: run the checks of `neuromem.cli.doctor` and print what they found."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from neuromem.cli.doctor.checks import Checkup
from neuromem.cli.options.database import database_options
from neuromem.cli.output import print_json, print_notice, print_text, safe_text, stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.cli.doctor.checks import Check
    from neuromem.cli.options.database import DatabaseOptions

MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command(short_help="Check everything, and say how to mend what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@database_options(embedding=True)
@click.pass_context
def doctor(context: click.Context, database: DatabaseOptions, *, as_json: bool) -> None:
    """Check Python, plugins, settings, database, schema, isolation and background work.

    Ends with code 1 when something has failed; a warning is no failure. Nothing is changed, but the database
    of an installed plugin is started (and made, the first time). No secret is shown.
    """
    checks = asyncio.run(Checkup(database).run())
    ok = all(check.status != "fail" for check in checks)
    if as_json:
        print_json({"ok": ok, "checks": [asdict(check) for check in checks]})
    else:
        _show(checks)
    context.exit(0 if ok else 1)


def _show(checks: Sequence[Check]) -> None:
    for check in checks:
        mark, style = MARKS[check.status]
        line = (
            safe_text(f"{mark:<4}", style)
            .append(f"  {check.name:<9}  ", "dim")
            .append_text(safe_text(check.found))
        )
        stdout().print(line, soft_wrap=True)
        if check.mend:
            print_text(f"      -> {check.mend}", "bold")
    counts = [(sum(check.status == status for check in checks), status) for status in ("fail", "warn")]
    summary = ", ".join(f"{count} {status}" for count, status in counts if count)
    print_notice(summary or "All is well.")
