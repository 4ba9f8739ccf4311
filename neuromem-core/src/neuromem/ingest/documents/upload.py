"""Stores and deletes documents; a document, its passages and its object are stored together or not at all."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from neuromem.domain.text.tokenizer import tokenize
from neuromem.errors import ConfigurationError, ConflictError, InputError
from neuromem.ingest.documents.incoming_file import read_pieces, receive_file
from neuromem.ingest.documents.parser_process import FileParser
from neuromem.ingest.documents.refused_file import RefusedFileError
from neuromem.store.database.users import user_language
from neuromem.store.documents.documents import DocumentContents, NewPassage, delete_document, insert_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neuromem.config import Settings
    from neuromem.domain.documents import Document, NewDocument
    from neuromem.ingest.documents.incoming_file import FileData
    from neuromem.ingest.documents.object_store import Objects
    from neuromem.ingest.documents.parser_process import ParsedFile
    from neuromem.store.database.database import Database

MAX_SINGLE_UPLOAD = 4 * 1024 * 1024  # bytes; larger files go to the storage as a stream


class DocumentService:
    """Stores documents and deletes them."""

    def __init__(
        self, database: Database, objects: Objects, settings: Settings, *, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._objects = objects
        self._settings = settings
        self._parser = FileParser(settings.files)
        self._wake = wake

    async def upload(self, user_id: str, new: NewDocument, data: FileData) -> Document:
        """Store a file; it reaches the object storage when it is received and parsed, not before.

        Raises:
            InputError: The file cannot be stored.
            ConfigurationError: Its type needs an extra that is not installed.
            StorageError: The object storage failed.
            ConflictError: The upload stood still for longer than its lease.
        """
        with tempfile.TemporaryFile() as file:
            size = await receive_file(
                data, file, most=self._settings.files.max_size, name=new.filename, user_id=user_id
            )
            return await self._store(user_id, replace(new, size=size), file, text=False)

    async def create(self, user_id: str, new: NewDocument, text: str) -> Document:
        """Store a text as a document without an object; raises `InputError` when it cannot be stored."""
        with tempfile.TemporaryFile() as file:
            size = await receive_file(
                text.encode(), file, most=self._settings.files.max_size, name=new.filename, user_id=user_id
            )
            return await self._store(user_id, replace(new, size=size), file, text=True)

    async def delete(self, user_id: str, document_id: str, *, erase: bool) -> bool:
        """Delete a document and its object; True when there was one."""
        found, claim = await delete_document(
            self._database, user_id, document_id, self._settings.work.lease, erase=erase
        )
        if claim is not None:
            await self._objects.remove(claim)
            self._wake()
        return found

    async def _store(self, user_id: str, new: NewDocument, file: IO[bytes], *, text: bool) -> Document:
        language = await user_language(self._database, user_id) or self._settings.language
        suffix = PurePosixPath(new.filename).suffix.lstrip(".").casefold()
        async with AsyncExitStack() as stack:
            try:
                parsed = await stack.enter_async_context(
                    self._parser.parse(file, suffix, language, text=text)
                )
            except RefusedFileError as refused:
                raise _error(refused, new, user_id) from refused
            contents = DocumentContents(
                parsed.kind,
                parsed.content_type,
                parsed.characters,
                parsed.passages,
                _passages(parsed, tokenize(new.filename, language)),
            )
            claim = None
            if not text:
                data = await _read_all(file) if new.size <= MAX_SINGLE_UPLOAD else read_pieces(file)
                claim = await stack.enter_async_context(
                    self._objects.stored(user_id, data, parsed.content_type)
                )
            document = await insert_document(self._database, user_id, new, contents, announced=claim)
            if document is None:
                assert claim is not None  # only a claim can expire
                await self._objects.discard(claim)
                raise ConflictError(
                    f"The upload of {new.filename!r} of user {user_id!r} stood still for longer than its claim is "
                    "good for (settings.work.lease), and its object was deleted. Upload it again."
                )
        self._wake()
        return document


def _passages(parsed: ParsedFile, name: list[str]) -> Iterator[list[NewPassage]]:
    """Return the passages in batches; each is found by the words of the file's name too."""
    for batch in parsed.batches():
        yield [NewPassage(part.content, part.start, part.page, [*name, *part.terms]) for part in batch]


async def _read_all(file: IO[bytes]) -> bytes:
    file.seek(0)
    return await asyncio.to_thread(file.read)


def _error(refused: RefusedFileError, new: NewDocument, user_id: str) -> ConfigurationError | InputError:
    what = f"The file {new.filename!r} of user {user_id!r} {refused}"
    if refused.extra is not None:
        return ConfigurationError(f"{what} Nothing was stored: pip install 'neuromem[{refused.extra}]'.")
    return InputError(f"{what} Nothing was stored.")
