"""``neuromem doctor``: check everything that a memory stands on, and say how to mend it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from neuromem.cli.doctor.checks import Checkup
from neuromem.cli.options.database import place_options
from neuromem.cli.output import echo_json, note, out, plain, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.cli.doctor.checks import Check
    from neuromem.cli.options.database import Place

MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command(short_help="Check everything, and say how to mend what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@place_options(embedding=True)
@click.pass_context
def doctor(context: click.Context, place: Place, *, as_json: bool) -> None:
    """Check Python, plugins, settings, database, schema, isolation and background work.

    Ends with code 1 when something has failed; a warning is no failure. Nothing is changed, but the database
    of an installed plugin is started (and made, the first time). No secret is shown.
    """
    checks = asyncio.run(Checkup(place).run())
    ok = all(check.status != "fail" for check in checks)
    if as_json:
        echo_json({"ok": ok, "checks": [asdict(check) for check in checks]})
    else:
        _show(checks)
    context.exit(0 if ok else 1)


def _show(checks: Sequence[Check]) -> None:
    for check in checks:
        mark, style = MARKS[check.status]
        line = (
            plain(f"{mark:<4}", style).append(f"  {check.name:<9}  ", "dim").append_text(plain(check.found))
        )
        out().print(line, soft_wrap=True)
        if check.mend:
            tell(f"      -> {check.mend}", "bold")
    counts = [(sum(check.status == status for check in checks), status) for status in ("fail", "warn")]
    said = ", ".join(f"{count} {status}" for count, status in counts if count)
    note(said or "All is well.")
