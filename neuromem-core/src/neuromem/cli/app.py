"""The command ``neuromem``: its built-in subcommands, those of plugins, and how errors are printed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from neuromem.cli.commands.demo import demo
from neuromem.cli.commands.digest import digest
from neuromem.cli.commands.doctor import doctor
from neuromem.cli.commands.files import files
from neuromem.cli.commands.graph import graph
from neuromem.cli.commands.ingest import ingest
from neuromem.cli.commands.jobs import jobs
from neuromem.cli.commands.kv import kv
from neuromem.cli.commands.migrate import migrate
from neuromem.cli.commands.plugins import plugins
from neuromem.cli.commands.recall import recall
from neuromem.cli.commands.reextract import reextract
from neuromem.cli.commands.sessions import sessions
from neuromem.cli.commands.spaces import reembed, spaces
from neuromem.cli.commands.worker import worker
from neuromem.cli.output import CommandError, print_log
from neuromem.errors import NeuroMemError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.plugin import CommandSpec
    from neuromem.registry import Offer

logger = logging.getLogger("neuromem")


class InterruptedCommandError(CommandError):
    """The user pressed Ctrl-C."""

    exit_code = 130  # as shells report it


class Root(click.Group):
    """The group of all commands; plugins are discovered only for a command that is not built in, and for the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, those of plugins last."""
        return [*super().list_commands(ctx), *_plugin_commands(self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; that of a plugin is built when it is asked for."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        offer = _plugin_commands(self.commands).get(cmd_name)
        return None if offer is None else _plugin_command(offer)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of neuromem is printed as one sentence, with ``--debug`` as a traceback."""
        try:
            return super().invoke(ctx)
        except NeuroMemError as error:
            if ctx.params["debug"]:
                raise
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as error:
            raise InterruptedCommandError("Interrupted; what was stored is kept.") from error


def _plugin_commands(own: Mapping[str, click.Command]) -> dict[str, Offer[CommandSpec]]:
    """Return the commands of plugins; a broken plugin is logged and does not hide the others."""
    from neuromem.registry import PluginRegistry

    found = {offer.spec.name: offer for offer in PluginRegistry.discover(strict=False).commands()}
    for name in sorted(found.keys() & own.keys()):
        logger.warning("The command %s is not used: neuromem has one of that name.", found.pop(name))
    return found


def _plugin_command(offer: Offer[CommandSpec]) -> click.Command:
    """Build a plugin's command; when that fails, return one that says so."""
    try:
        command = offer.spec.factory()
        if not isinstance(command, click.Command):
            raise TypeError(
                f"its factory returned an object of {type(command).__name__}, not a click.Command"
            )
    except Exception as error:  # noqa: BLE001  whatever a stranger's code raises, the other commands stay
        return _broken_command(offer, f"The command {offer} cannot be used: {type(error).__name__}: {error}")
    if not command.short_help and not command.help:
        command.short_help = offer.spec.summary
    return command


def _broken_command(offer: Offer[CommandSpec], reason: str) -> click.Command:
    @click.command(
        offer.spec.name,
        short_help=f"(broken: see `neuromem {offer.spec.name}`)",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def fail(arguments: tuple[str, ...]) -> None:
        del arguments
        raise CommandError(reason)

    return fail


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neuromem")
@click.option("--debug", is_flag=True, help="Show the whole log and the traceback of an error.")
def neuromem(*, debug: bool) -> None:
    """Memory for AI agents: try it, fill it, ask it, and see how it is."""
    print_log(debug=debug)


for command in (
    demo,
    ingest,
    recall,
    digest,
    kv,
    graph,
    files,
    sessions,
    jobs,
    worker,
    plugins,
    doctor,
    migrate,
    spaces,
    reembed,
    reextract,
):
    neuromem.add_command(command)
