"""``neuromem plugins``: which plugins are installed, active, broken and blocked, and the commands for their authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from neuromem.cli.commands.plugins_check import check_plugin
from neuromem.cli.commands.plugins_new import new_plugin
from neuromem.cli.output import print_json, print_notice, print_text, safe_text, stdout

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
        print_json(found)
    else:
        _show(found)


def _show(found: list[PluginReport]) -> None:
    for plugin in found:
        source = f"{plugin['distribution']} {plugin['version']}".strip()
        title = safe_text(plugin["name"], "bold").append(f"  {source}  ", "dim")
        stdout().print(title.append(plugin["state"], STYLES[plugin["state"]]), soft_wrap=True)
        if plugin["error"]:
            print_text(f"  {plugin['error']}", "red")
        for offer in plugin["offers"]:
            kind, mark = offer["hook"].removeprefix("neuromem_"), "active" if offer["active"] else ""
            line = safe_text(f"  {kind:<11} {offer['name']:<14} ").append(f"{mark:<6}", "green")
            stdout().print(line.append_text(safe_text(f"  {offer['summary']}")), soft_wrap=True)
    print_notice("active: takes part as things are set now; the others are chosen or enabled by name.", "dim")


plugins.add_command(check_plugin)
plugins.add_command(new_plugin)
