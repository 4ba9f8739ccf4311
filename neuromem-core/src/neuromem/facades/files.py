"""``nm.files``: documents and their passages."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.documents import FILE_TYPES, NewDocument, Passage
from neuromem.domain.query import DocumentFilter
from neuromem.errors import ConfigurationError, InputError, NotFoundError
from neuromem.store.documents.documents import (
    StoredDocument,
    document_text,
    fetch_document_page,
    fetch_documents,
    passage_places,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.documents import Document, FileType
    from neuromem.ingest.documents.incoming_file import FileData
    from neuromem.ingest.documents.object_store import Objects
    from neuromem.ingest.documents.upload import DocumentService
    from neuromem.recall.results import Found
    from neuromem.recall.service import RecallService
    from neuromem.store.database.database import Database

MAX_NAME = 1_000
MAX_TAGS = 100
MAX_LIMIT = 10_000

_Documents = list["Document"]  # inside the class, `list` is the method
_Passages = list[Passage]


class Files:
    """Files of one user, found by what they say.

    Text is taken from txt, md, json, csv, html and code, from pdf and docx with the extra of that name; images are
    stored only. What is found are passages of some hundred tokens: by ``search``, and by ``recall`` with
    ``memory_type="document"``.
    """

    def __init__(
        self, service: DocumentService, objects: Objects, database: Database, recall: RecallService
    ) -> None:
        self._service = service
        self._objects = objects
        self._database = database
        self._recall = recall

    async def upload(
        self,
        user_id: str,
        filename: str,
        file_data: FileData,
        category: str = "general",
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Document:
        """Store a file and index its text; its words are found at once, its meaning when it is embedded.

        ``file_data`` is bytes, a path (`pathlib.Path`), an open binary file, sync or async, or an async iterator of
        bytes. Of ``filename`` only the last part counts. Raises `InputError`, and stores nothing, when the file is too
        large (``settings.files.max_size``), empty, broken, encrypted or of another type.
        """
        new = _new(user_id, _filename(filename), category, tags, metadata)
        return await self._service.upload(user_id, new, file_data)

    async def create_from_text(
        self,
        user_id: str,
        title: str,
        content: str,
        category: str = "general",
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Document:
        """Index a text as a document named ``title``, without an object in the storage.

        A title that ends like the name of a md, json, csv, html or code file has the text read as that.
        """
        new = _new(user_id, _title(title), category, tags, metadata)
        text = validation.content(content, most=sys.maxsize, whose=user_id)  # its bytes are counted below
        return await self._service.create(user_id, new, text)

    async def get(self, user_id: str, document_id: str) -> Document | None:
        """Return a document."""
        found = await self._stored(user_id, document_id)
        return None if found is None else found.document

    async def list(
        self,
        user_id: str,
        category: str | None = None,
        tags: Sequence[str] | None = None,
        file_types: Sequence[FileType] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> _Documents:
        """Return documents, the newest first: of a category, with all of the tags, of one of the types."""
        if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
            raise InputError(f"offset must be a whole number of at least 0, not {offset!r}.")
        return await fetch_document_page(
            self._database,
            validation.user_id(user_id),
            _filter(category, tags, file_types),
            limit=validation.count("limit", limit, most=MAX_LIMIT),
            offset=offset,
        )

    async def search(
        self,
        user_id: str,
        query: str,
        limit: int = 10,
        category: str | None = None,
        tags: Sequence[str] | None = None,
        file_types: Sequence[FileType] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> _Passages:
        """Return the passages that answer a question best, each with its document; see `NeuroMemory.recall`."""
        question = self._recall.question(user_id, query, limit, memory_type="document", metadata=metadata)
        which = _filter(category, tags, file_types)
        if which != DocumentFilter():
            question = replace(question, filters=replace(question.filters, documents=which))
        outcome, _ = await self._recall.run(question)
        return await self._with_documents(user_id, outcome.merged)

    async def download(self, user_id: str, document_id: str) -> bytes:
        """Return the bytes of a document; of one that has no object, its text in UTF-8.

        Raises `NotFoundError` when the user has no such document, or it has neither.
        """
        key = await self._key(user_id, document_id)
        if key is not None:
            return await self._objects.download(key)
        text = await document_text(self._database, user_id, document_id)
        if not text:
            raise NotFoundError(
                f"The file of document {document_id!r} of user {user_id!r} is not here: an export has what is known "
                "of a file, not its bytes. Upload it again."
            )
        return text.encode()

    async def url(self, user_id: str, document_id: str, expires_in: int = 3600) -> str:
        """Return a URL that fetches the file without credentials for ``expires_in`` seconds.

        Raises `NotFoundError` when the user has no such document, or it has no object.
        """
        key = await self._key(user_id, document_id)
        if key is None:
            raise NotFoundError(
                f"Document {document_id!r} of user {user_id!r} was made from text and has no file to fetch; "
                "download() gives its text."
            )
        return await self._objects.url(key, expires_in)

    async def delete(self, user_id: str, document_id: str, erase: bool = False) -> bool:
        """Delete a document and its object; True when there was one.

        Its text stays in the past, where ``recall(as_of=...)`` finds it; ``erase=True`` leaves nothing of it, also of
        one that was deleted before. Where the storage fails, the document is gone all the same, and its object follows
        when the storage is back.
        """
        wanted = validation.uuid("document_id", document_id)
        return await self._service.delete(validation.user_id(user_id), wanted, erase=erase)

    async def _stored(self, user_id: str, document_id: str) -> StoredDocument | None:
        wanted = validation.uuid("document_id", document_id)
        return (await fetch_documents(self._database, validation.user_id(user_id), [wanted])).get(wanted)

    async def _key(self, user_id: str, document_id: str) -> str | None:
        """Return where in this storage the bytes of a document lie; None when there are none."""
        found = await self._stored(user_id, document_id)
        if found is None:
            raise NotFoundError(
                f"User {user_id!r} has no document {document_id!r}; list() shows which there are."
            )
        if found.storage not in (None, self._objects.capability):
            raise ConfigurationError(
                f"The file of document {document_id!r} of user {user_id!r} lies in another storage "
                f"({found.storage}); open NeuroMemory with that one."
            )
        return found.document.object_key

    async def _with_documents(self, user_id: str, merged: Sequence[Found]) -> _Passages:
        places = await passage_places(self._database, user_id, [found.hit.id for found in merged])
        owners = await fetch_documents(
            self._database, user_id, sorted({place.document for place in places.values()})
        )
        passages = []
        for found in merged:
            place = places.get(found.hit.id)
            if place is not None and place.document in owners:  # else it was deleted in the meantime
                passages.append(
                    Passage(
                        id=found.hit.id,
                        content=found.hit.content,
                        position=place.position,
                        start=place.start,
                        page=place.page,
                        score=found.score,
                        relevance=found.hit.relevance,
                        document=owners[place.document].document,
                    )
                )
        return passages


def _new(
    user_id: str, name: str, category: str, tags: Sequence[str] | None, metadata: Mapping[str, Any] | None
) -> NewDocument:
    validation.user_id(user_id)
    category = validation.identifier("category", category)
    return NewDocument(name, category, _tags(tags) or (), validation.metadata(metadata), 0)


def _filename(value: object) -> str:
    """Return the last part of a name, so that nobody who uses it as a path is led anywhere."""
    name = re.split(r"[/\\]", _title(value, "filename"))[-1].strip()
    if not name.strip("."):
        raise InputError(f"filename {value!r:.200} names no file.")
    return name


def _title(value: object, what: str = "title") -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{what} must be a non-empty string, not {value!r:.200}.")
    if len(value) > MAX_NAME:
        raise InputError(f"{what} has {len(value):,} characters; at most {MAX_NAME:,} are possible.")
    return validation.characters(what, value)


def _tags(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise InputError(f"tags must be a list of strings, not {value!r:.200}.")
    if len(value) > MAX_TAGS:
        raise InputError(f"There are {len(value):,} tags; at most {MAX_TAGS} are possible.")
    return tuple(dict.fromkeys(validation.identifier("a tag", tag) for tag in value))


def _filter(
    category: str | None, tags: Sequence[str] | None, file_types: Sequence[FileType] | None
) -> DocumentFilter:
    if file_types is not None and (isinstance(file_types, str) or not set(file_types) <= set(FILE_TYPES)):
        raise InputError(
            f"file_types must be a list out of {', '.join(FILE_TYPES)}, not {file_types!r:.200}."
        )
    return DocumentFilter(
        validation.optional_text("category", category),
        _tags(tags) or None,
        None if file_types is None else tuple(file_types),
    )
