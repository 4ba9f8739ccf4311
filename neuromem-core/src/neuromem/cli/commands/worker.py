"""``neuromem worker``: a process that only does background work."""

from __future__ import annotations

import asyncio
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from neuromem.cli.options.database import database_options
from neuromem.cli.output import CommandError, print_notice

if TYPE_CHECKING:
    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.memory import NeuroMemory


@click.command(short_help="Do the background work in a process of its own.")
@click.argument("factory", required=False, metavar="[PACKAGE.MODULE:FACTORY]")
@click.option("--llm", metavar="NAME[:MODEL]", help="LLM to extract with; default: NEUROMEM_LLM, else none.")
@click.option("--until-done", is_flag=True, help="End when nothing is left to do that this process can do.")
@database_options(embedding=True)
def worker(database: DatabaseOptions, factory: str | None, *, llm: str | None, until_done: bool) -> None:
    """Embed and extract what applications leave to others (worker=False).

    FACTORY is called without arguments and returns the NeuroMemory to work for, not yet open; without it the options
    and NEUROMEM_* say where and with what. Several workers may run side by side; each takes only what it can serve.
    Ends on Ctrl-C or SIGTERM, and gives back what it has not finished.
    """
    memory = database.memory(llm=llm) if factory is None else _memory_of_factory(factory)
    asyncio.run(_work(memory, until_done=until_done))


def _memory_of_factory(factory: str) -> NeuroMemory:
    from neuromem.memory import NeuroMemory

    module, _, name = factory.partition(":")
    if not module or not name:
        raise CommandError(f"{factory!r} names no factory: write package.module:function.")
    sys.path.insert(0, "")  # as `python -m` does
    try:
        make = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CommandError(f"The factory {factory!r} cannot be imported: {error}") from error
    memory = make()
    if not isinstance(memory, NeuroMemory):
        raise CommandError(
            f"The factory {factory!r} returned an object of {type(memory).__name__}, not a NeuroMemory."
        )
    return memory


async def _work(memory: NeuroMemory, *, until_done: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: Ctrl-C raises instead
            continue
    print_notice("Working." if until_done else "Working; Ctrl-C ends it.")
    await memory.run_worker(stop, until_done=until_done)
    print_notice("Ended; what was not finished is given back.")
