"""``neuromem demo``: remember a short conversation and recall from it."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import TYPE_CHECKING

import click

from neuromem.cli.commands.recall import print_result
from neuromem.cli.imports.jsonl import MessageFile, batches
from neuromem.cli.options.database import database_options
from neuromem.cli.output import print_text, stderr

if TYPE_CHECKING:
    from neuromem.cli.options.database import DatabaseOptions

USER = "demo"
QUESTIONS = (
    "Where does Maya work?",
    "Which food is bad for her?",
    "Maya 的猫叫什么名字？",
)
SHOWN = 3


@click.command(short_help="Remember a short conversation and ask three questions about it.")
@database_options(embedding=True)
def demo(database: DatabaseOptions) -> None:
    """Remember a short conversation, ask three questions, and show what was recalled and why.

    With neuromem-local installed this needs no server, no key and no network: PostgreSQL and the embedding
    model come from wheels, the data lies in NEUROMEM_HOME (default: the system's place for user data). No LLM
    is asked. Running it again stores nothing twice.
    """
    asyncio.run(_demo(database))


async def _demo(database: DatabaseOptions) -> None:
    memory = database.memory(llm="none")
    conversation = resources.files("neuromem.cli") / "demo.jsonl"
    with stderr().status("Starting PostgreSQL"):
        await memory.init()
    async with memory:
        with stderr().status("Remembering"), conversation.open("rb") as file:
            history = MessageFile(file, USER, name="the demo", session=USER, most=memory.settings.max_content)
            count = history.check()
            for batch in batches(history.lines()):
                for session, lines in batch.items():
                    messages = [line.message for line in lines]
                    await memory.conversations.add_messages_batch(USER, messages, session)
            await memory.drain(USER)
        print_text(f"{count} messages of two conversations are remembered for user {USER!r}.")
        for question in QUESTIONS:
            print_text(f"\n{question}", "bold")
            print_result(await memory.recall(USER, question, limit=SHOWN, explain=True), explain=True)
    print_text(
        "score orders one answer, relevance can be compared between questions. Each arm shows its rank and "
        "its own score; the signals lie in [0, 1] and weigh in a little. Ask more yourself:\n\n"
        f'  neuromem recall "How did the half marathon go?" --user {USER} --explain'
    )
