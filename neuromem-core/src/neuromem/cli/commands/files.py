"""``neuromem files``: upload, list, search, download and delete files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuromem.cli.options.user import count_options, user_options
from neuromem.cli.output import CommandError, print_items, print_json, print_text
from neuromem.domain.documents import FILE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.domain.documents import Document, FileType, Passage


@click.group(short_help="Files, found by what they say.")
def files() -> None:
    """Upload files of a user, find what they say, get them back, delete them."""


def storage_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--storage``."""
    return click.option(
        "--storage",
        metavar="NAME",
        help="Object storage; default: NEUROMEM_STORAGE, else that of the installed plugin.",
    )(function)


def filter_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--category``, ``--tag`` and ``--type``, which select documents."""
    function = click.option(
        "--type",
        "file_types",
        multiple=True,
        type=click.Choice(FILE_TYPES),
        help="Only this type; repeatable.",
    )(function)
    function = click.option(
        "--tag", "tags", multiple=True, help="Only with this tag; repeatable, all count."
    )(function)
    return click.option("--category", help="Only of this category.")(function)


@files.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--category", default="general", show_default=True)
@click.option("--tag", "tags", multiple=True, help="Repeatable.")
@storage_option
@user_options
def upload(
    database: DatabaseOptions,
    user: str,
    paths: tuple[Path, ...],
    *,
    category: str,
    tags: tuple[str, ...],
    storage: str | None,
    as_json: bool,
) -> None:
    """Upload PATHS and index what they say; stops at the first that cannot be taken."""
    stored: list[Document] = []

    async def run() -> None:
        async with database.memory(storage=storage) as memory:
            for path in paths:
                document = await memory.files.upload(user, path.name, path, category, tags)
                stored.append(document)
                if not as_json:
                    passages = f"{document.passages} passage{'' if document.passages == 1 else 's'}"
                    print_text(f"{document.filename}: {passages}, {document.id}")

    asyncio.run(run())
    if as_json:
        print_json(stored)


@files.command("list")
@filter_options
@count_options()
@storage_option
@user_options
def list_files(
    database: DatabaseOptions,
    user: str,
    *,
    category: str | None,
    tags: tuple[str, ...],
    file_types: tuple[FileType, ...],
    limit: int,
    offset: int,
    storage: str | None,
    as_json: bool,
) -> None:
    """List files, the newest first."""

    async def run() -> list[Document]:
        async with database.memory(storage=storage, worker=False) as memory:
            return await memory.files.list(user, category, tags or None, file_types or None, limit, offset)

    def row(document: Document) -> list[str]:
        tags = ", ".join(document.tags)
        size, passages = f"{document.size:,}", str(document.passages)
        return [
            document.id,
            f"{document.created_at:%Y-%m-%d}",
            document.file_type,
            size,
            passages,
            document.category,
            tags,
            document.filename,
        ]

    print_items(
        asyncio.run(run()),
        as_json,
        ["id", "created", "type", "bytes", "passages", "category", "tags"],
        row,
        "name",
    )


@files.command()
@click.argument("question")
@filter_options
@count_options(offset=False, limit=10)
@storage_option
@user_options
def search(
    database: DatabaseOptions,
    user: str,
    question: str,
    *,
    category: str | None,
    tags: tuple[str, ...],
    file_types: tuple[FileType, ...],
    limit: int,
    storage: str | None,
    as_json: bool,
) -> None:
    """Show the passages that answer QUESTION best."""

    async def run() -> list[Passage]:
        async with database.memory(storage=storage, worker=False) as memory:
            return await memory.files.search(
                user, question, limit, category, tags or None, file_types or None
            )

    def row(found: Passage) -> list[str]:
        where = f"{found.document.filename} #{found.position}" + (
            f", page {found.page}" if found.page else ""
        )
        return [f"{found.score:.3f}", f"{found.relevance:.3f}", f"{where}\n{found.content.strip()}"]

    print_items(asyncio.run(run()), as_json, ["score", "relevance"], row, "passage")


@files.command()
@click.argument("document")
@click.argument("target", type=click.File("wb", lazy=True))
@storage_option
@user_options
def download(
    database: DatabaseOptions, user: str, document: str, target: Any, *, storage: str | None, as_json: bool
) -> None:
    """Write the file with the id DOCUMENT to TARGET, or to stdout with "-"."""

    async def run() -> bytes:
        async with database.memory(storage=storage, worker=False) as memory:
            return await memory.files.download(user, document)

    content = asyncio.run(run())
    target.write(content)
    if as_json and target.name != "-":
        print_json({"id": document, "bytes": len(content), "path": target.name})


@files.command()
@click.argument("document")
@click.option("--erase", is_flag=True, help="From the past too.")
@storage_option
@user_options
def delete(
    database: DatabaseOptions, user: str, document: str, *, erase: bool, storage: str | None, as_json: bool
) -> None:
    """Delete the file with the id DOCUMENT; without --erase the past still has its text."""

    async def run() -> bool:
        async with database.memory(storage=storage, worker=False) as memory:
            return await memory.files.delete(user, document, erase)

    deleted = asyncio.run(run())
    if as_json:
        print_json({"deleted": deleted})
    elif deleted:
        print_text(f"Document {document!r} of user {user!r} is deleted.")
    else:
        raise CommandError(f"User {user!r} has no document {document!r}.")
