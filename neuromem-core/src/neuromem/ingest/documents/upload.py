"""Uploads and deletions: the document, its passages and its object stand or fall together."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from neuromem.domain.text.tokenizer import tokenize
from neuromem.errors import ConfigurationError, ConflictError, InputError
from neuromem.ingest.documents.incoming_file import pieces, receive
from neuromem.ingest.documents.parser_process import Parser
from neuromem.ingest.documents.refusal import Refused
from neuromem.store.database.users import user_language
from neuromem.store.documents.documents import DocumentContents, NewPassage, delete_document, insert_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neuromem.config import Settings
    from neuromem.domain.documents import Document, NewDocument
    from neuromem.ingest.documents.incoming_file import FileData
    from neuromem.ingest.documents.object_store import Objects
    from neuromem.ingest.documents.parser_process import Parsed
    from neuromem.store.database.database import Database

WHOLE = 4 * 1024 * 1024  # files up to this size go to the storage in one piece, larger ones as a stream


class DocumentService:
    """Stores documents and deletes them."""

    def __init__(
        self, database: Database, objects: Objects, settings: Settings, *, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._objects = objects
        self._settings = settings
        self._parser = Parser(settings.files)
        self._wake = wake

    async def upload(self, user_id: str, new: NewDocument, data: FileData) -> Document:
        """Store a file; nothing of it reaches the storage before it is received and read."""
        with tempfile.TemporaryFile() as file:
            size = await receive(
                data, file, most=self._settings.files.max_size, name=new.filename, user_id=user_id
            )
            return await self._store(user_id, replace(new, size=size), file, text=False)

    async def create(self, user_id: str, new: NewDocument, text: str) -> Document:
        """Store a text, without an object."""
        with tempfile.TemporaryFile() as file:
            size = await receive(
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
            except Refused as refused:
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
                data = await _whole(file) if new.size <= WHOLE else pieces(file)
                claim = await stack.enter_async_context(
                    self._objects.stored(user_id, data, parsed.content_type)
                )
            document = await insert_document(self._database, user_id, new, contents, announced=claim)
            if document is None:
                assert claim is not None  # without one nothing can run out
                await self._objects.discard(claim)
                raise ConflictError(
                    f"The upload of {new.filename!r} of user {user_id!r} stood still for longer than its claim is "
                    "good for (settings.work.lease), and its object was deleted. Upload it again."
                )
        self._wake()
        return document


def _passages(parsed: Parsed, name: list[str]) -> Iterator[list[NewPassage]]:
    """Return the passages, each found by the words of the file's name too."""
    for portion in parsed.portions():
        yield [NewPassage(part.content, part.start, part.page, [*name, *part.terms]) for part in portion]


async def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return await asyncio.to_thread(file.read)


def _error(refused: Refused, new: NewDocument, user_id: str) -> ConfigurationError | InputError:
    what = f"The file {new.filename!r} of user {user_id!r} {refused}"
    if refused.extra is not None:
        return ConfigurationError(f"{what} Nothing was stored: pip install 'neuromem[{refused.extra}]'.")
    return InputError(f"{what} Nothing was stored.")
