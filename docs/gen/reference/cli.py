"""The command line: every command with its arguments and options, from click."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import click

from docs.gen.reference.markdown import code, table
from neuromem.cli.app import neuromem

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# Command line

`pip install 'neuromem[cli]'` brings the command `neuromem`. It reads the same environment as the library; what most
commands share (`--database-url`, `--schema` and so on) overrides it. Plugins can add commands of their own.
"""


def page() -> str:
    """Return the page."""
    root = click.Context(neuromem, info_name="neuromem")
    parts = [HEAD, "## neuromem\n", *_body(neuromem, root)]
    for name in sorted(neuromem.commands):
        parts += _command(neuromem.commands[name], root, 2)
    return "\n".join(parts)


def _command(command: click.Command, parent: click.Context, level: int) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=command.name)
    yield f"{'#' * level} {context.command_path}\n"
    yield from _body(command, context)
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _command(command.commands[name], context, level + 1)


def _body(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = command.get_usage(context).removeprefix("Usage: ")
    yield f"```text\n{' '.join(usage.split())}\n```\n"
    yield _help(command.help or "")
    rows = [_option(option, context) for option in command.get_params(context) if _shown(option)]
    if rows:
        yield table(("option", "meaning"), rows) + "\n"


def _help(text: str) -> str:
    """Return a command's help; what click must not wrap is a block."""
    paragraphs = inspect.cleandoc(text).replace("``", "`").split("\n\n")
    blocks = (
        f"```text\n{p.removeprefix(chr(8)).strip()}\n```" if p.startswith("\b") else p for p in paragraphs
    )
    return "\n\n".join(blocks) + "\n"


def _shown(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and not option.hidden and "--help" not in option.opts


def _option(option: click.Parameter, context: click.Context) -> tuple[str, str]:
    assert isinstance(option, click.Option)
    names = ", ".join(code(name) for name in [*option.opts, *option.secondary_opts])
    if not option.is_flag and not option.count:
        names += f" {code(option.make_metavar(context))}"
    info: dict[str, Any] = option.to_info_dict()
    default = info["default"]
    known = (
        option.show_default and not option.is_flag and default not in (None, (), "") and not callable(default)
    )
    return names, (option.help or "").replace("``", "`") + (
        f" Default: {code(str(default))}." if known else ""
    )
