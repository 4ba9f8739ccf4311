"""``neuromem plugins``: what is installed, active, broken and blocked; and two commands for authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from neuromem.cli.commands.authors import check, new
from neuromem.cli.output import echo_json, note, out, plain, tell

if TYPE_CHECKING:
    from neuromem.registry.report import PluginReport

STYLES = {"loaded": "green", "broken": "red", "blocked": "yellow"}


@click.group(invoke_without_command=True, short_help="Show the installed plugins and what they offer.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.pass_context
def plugins(ctx: click.Context, *, as_json: bool) -> None:
    """Show the installed plugins, what each offers, and what of it takes part as things are set now."""
    if ctx.invoked_subcommand is not None:
        return
    from neuromem.config import Settings
    from neuromem.registry import PluginRegistry

    settings = Settings.load()
    found = PluginRegistry.discover(options=settings.plugins, strict=False).report(settings)
    if as_json:
        echo_json(found)
    else:
        _show(found)


def _show(found: list[PluginReport]) -> None:
    for plugin in found:
        source = f"{plugin['distribution']} {plugin['version']}".strip()
        title = plain(plugin["name"], "bold").append(f"  {source}  ", "dim")
        out().print(title.append(plugin["state"], STYLES[plugin["state"]]), soft_wrap=True)
        if plugin["error"]:
            tell(f"  {plugin['error']}", "red")
        for offer in plugin["offers"]:
            kind, mark = offer["hook"].removeprefix("neuromem_"), "active" if offer["active"] else ""
            line = plain(f"  {kind:<11} {offer['name']:<14} ").append(f"{mark:<6}", "green")
            out().print(line.append_text(plain(f"  {offer['summary']}")), soft_wrap=True)
    note("active: takes part as things are set now; the others are chosen or enabled by name.", "dim")


plugins.add_command(check)
plugins.add_command(new)
