"""``neuromem sessions``: list, show, search, close, delete and import conversations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from neuromem.cli.imports.chat_exports import import_export, read_export
from neuromem.cli.options.user import count_options, user_options
from neuromem.cli.output import CommandError, print_items, print_json, print_text

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.domain.messages import Message, Session
    from neuromem.domain.recall_result import RecallItem


@click.group(short_help="Conversations: look, search, close, delete, import.")
def sessions() -> None:
    """Look at the conversations of a user, search, close and delete them, and import others."""


@sessions.command("list")
@count_options(limit=50)
@user_options
def list_sessions(database: DatabaseOptions, user: str, *, limit: int, offset: int, as_json: bool) -> None:
    """List sessions, the one that was last spoken in first."""

    async def run() -> list[Session]:
        async with database.memory(worker=False) as memory:
            return await memory.conversations.list_sessions(user, limit, offset)

    print_items(
        asyncio.run(run()),
        as_json,
        ["last", "messages", "session"],
        lambda s: [_when(s.updated_at), str(s.message_count), s.id, s.title or ""],
        "title",
    )


@sessions.command()
@click.argument("session")
@count_options()
@user_options
def show(
    database: DatabaseOptions, user: str, session: str, *, limit: int, offset: int, as_json: bool
) -> None:
    """Show the messages of SESSION in their order."""

    async def run() -> list[Message]:
        async with database.memory(worker=False) as memory:
            return await memory.conversations.get_session_messages(user, session, limit, offset)

    print_items(
        asyncio.run(run()),
        as_json,
        ["when", "who"],
        lambda m: [_when(m.occurred_at), m.name or m.role, m.content],
        "content",
    )


@sessions.command()
@click.argument("question")
@click.option("--session", help="Only in this one.")
@count_options(offset=False, limit=10)
@user_options
def search(
    database: DatabaseOptions, user: str, question: str, *, session: str | None, limit: int, as_json: bool
) -> None:
    """Search what was said for QUESTION."""

    async def run() -> list[RecallItem]:
        async with database.memory(worker=False) as memory:
            return await memory.conversations.search(user, question, session, limit)

    print_items(
        asyncio.run(run()),
        as_json,
        ["score", "when"],
        lambda i: [f"{i['score']:.3f}", _when(i["occurred_at"] or i["created_at"]), i["content"]],
        "content",
    )


@sessions.command()
@click.argument("session")
@user_options
def close(database: DatabaseOptions, user: str, session: str, *, as_json: bool) -> None:
    """Say that SESSION is over."""

    async def run() -> Session:
        async with database.memory(worker=False) as memory:
            return await memory.conversations.close_session(user, session)

    closed = asyncio.run(run())
    if as_json:
        print_json(closed)
    else:
        print_text(f"Session {session!r} of user {user!r} is closed.")


@sessions.command()
@click.argument("session")
@click.option("--yes", is_flag=True, help="Do not ask.")
@user_options
def delete(database: DatabaseOptions, user: str, session: str, *, yes: bool, as_json: bool) -> None:
    """Erase SESSION and what was derived from it alone, from the past too."""
    if not yes:
        click.confirm(f"Erase session {session!r} of user {user!r} for good?", abort=True, err=True)

    async def run() -> dict[str, int]:
        async with database.memory(worker=False) as memory:
            return await memory.conversations.delete_session(user, session)

    deleted = asyncio.run(run())
    if as_json:
        print_json(deleted)
    elif deleted["sessions"]:
        print_text(
            "Erased: " + ", ".join(f"{count} {kind}" for kind, count in deleted.items() if count) + "."
        )
    else:
        raise CommandError(f"User {user!r} has no session {session!r}.")


@sessions.command("import")
@click.argument("file", type=click.File("rb"))
@user_options
def import_file(database: DatabaseOptions, user: str, file: BinaryIO, *, as_json: bool) -> None:
    """Import FILE, what ChatGPT or Claude hand out: the archive (.zip) or its conversations.json.

    Every conversation becomes a session. Running it again, also after it was killed or with a newer export, stores
    nothing twice. Embedding is left to the next process that opens this memory. For JSON Lines see
    `neuromem ingest`.
    """
    counts: dict[str, Any] = asyncio.run(import_export(database, user, read_export(file)))
    if as_json:
        print_json(counts)
        return
    print_text(
        f"{counts['messages']} messages in {counts['sessions']} sessions are stored for user {user!r}."
    )
    if counts["too_long"]:
        print_text(f"{counts['too_long']} messages were longer than settings.max_content and were left out.")


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
