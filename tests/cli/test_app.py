"""The root command: plugins' commands, errors, and an installation without the extra."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from neuromem.errors import ConfigurationError

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Cli

COMMANDS = """
    import click

    from neuromem.plugin import CommandSpec, hookimpl


    def greet():
        @click.command()
        @click.argument("name")
        def command(name):
            click.echo(f"Hello, {name}!")

        return command


    def broken():
        raise RuntimeError("no such thing")


    @hookimpl
    def neuromem_commands():
        return [
            CommandSpec("greet", greet, "Says hello"),
            CommandSpec("cracked", broken, "Fails"),
            CommandSpec("odd", dict, "Is no command"),
            CommandSpec("recall", greet, "Wants our name"),
        ]
"""


def test_commands_of_plugins_are_there_and_a_broken_one_is_alone(cli: Cli) -> None:
    cli.distributions.install("acme-commands", plugin="commands", source=COMMANDS)
    shown = " ".join(cli("--help").output.split())
    assert "greet Says hello" in shown
    assert "cracked (broken: see `neuromem cracked`)" in shown
    assert "recall Ask what is remembered." in shown
    assert cli("greet", "Ana").stdout == "Hello, Ana!\n"
    complaint = cli("cracked", "--now", "x", code=1).stderr
    assert "'cracked' of plugin 'commands' (acme-commands 1.0) cannot be used: RuntimeError" in complaint
    assert "not a click.Command" in cli("odd", code=1).stderr


def test_a_plugin_that_cannot_be_imported_does_not_hide_the_others(cli: Cli) -> None:
    cli.distributions.install("acme-commands", plugin="commands", source=COMMANDS)
    cli.distributions.install("acme-broken", plugin="broken", source="import no_such_module")
    assert cli("greet", "Ana").stdout == "Hello, Ana!\n"


def test_an_unknown_command_is_a_usage_error(cli: Cli) -> None:
    assert "No such command 'remember'" in cli("remember", code=2).stderr


def test_an_error_of_ours_is_one_sentence_and_with_debug_the_whole_story(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROMEM_EMBEDDING", "missing")
    result = cli("recall", "hello", "--user", "ana", code=1)
    assert result.stderr.startswith("No plugin offers the embedding provider 'missing'")
    assert result.stderr.count("\n") == 1
    unhandled = cli("--debug", "recall", "hello", "--user", "ana", code=1).exception
    assert isinstance(unhandled, ConfigurationError)


def test_without_the_extra_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from neuromem.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "The neuromem command needs the extra 'cli': pip install 'neuromem[cli]'\n"


def test_help_and_version_load_neither_database_nor_plugins() -> None:
    code = (
        "import sys; from neuromem.cli.app import neuromem; neuromem(['recall', '--help'], standalone_mode=False);"
        "print(sorted({'sqlalchemy', 'asyncpg', 'httpx', 'alembic', 'neuromem_local'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
