"""Documents, their passages, and the bookkeeping of the objects that hold their bytes.

An object is announced before it is stored: a job to delete it, leased to whoever stores it. The transaction that makes
the document acknowledges the job; when that never comes, the lease runs out and a worker deletes the object.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.documents import Document
from neuromem.store.database.users import WriteStamp, begin_write
from neuromem.store.queue.job_kinds import OBJECT
from neuromem.store.queue.jobs import Claim, acknowledge_jobs, add_held_job, lock_held
from neuromem.store.search_index.entries import (
    DOCUMENT_KIND,
    IndexEntry,
    add_entries,
    close_entries,
    erase_entries,
)
from neuromem.store.search_index.filters import DOCUMENT_MATCHES, document_filter_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neuromem.domain.documents import FileType, NewDocument
    from neuromem.domain.query import DocumentFilter
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

INSERT = """
    INSERT INTO {s}.documents (user_id, document_id, filename, file_type, content_type, size, category, tags, metadata,
                               labels, characters, passages, created_at, object_key, storage)
    VALUES (:user, CAST(:id AS uuid), :filename, :file_type, :content_type, :size, :category, CAST(:tags AS text[]),
            CAST(:metadata AS jsonb), CAST(:labels AS jsonb), :characters, :passages, :now, :object_key, :storage)
"""

INSERT_PASSAGES = """
    INSERT INTO {s}.passages (user_id, passage_id, document_id, position, entry, start, page, content, created_at)
    SELECT :user, n.passage_id, CAST(:document AS uuid), n.position, n.entry, n.start, n.page, n.content, :now
    FROM unnest(CAST(:passage_id AS uuid[]), CAST(:position AS int[]), CAST(:entry AS int[]), CAST(:start AS int[]),
                CAST(:page AS int[]), CAST(:content AS text[]))
         AS n(passage_id, position, entry, start, page, content)
"""

COLUMNS = """
    d.document_id, d.user_id, d.filename, d.file_type, d.content_type, d.size, d.category, d.tags, d.metadata,
    d.characters, d.passages, d.created_at, d.object_key, d.storage
"""

GET = f"""
    SELECT {COLUMNS} FROM {{s}}.documents d
    WHERE d.user_id = :user AND d.document_id = ANY(CAST(:ids AS uuid[])) AND d.superseded_at IS NULL
"""


LIST = f"""
    SELECT {COLUMNS} FROM {{s}}.documents d WHERE d.user_id = :user AND d.superseded_at IS NULL AND {DOCUMENT_MATCHES}
    ORDER BY d.created_at DESC, d.document_id LIMIT :limit OFFSET :offset
"""

PLACES = """
    SELECT p.passage_id, p.document_id, p.position, p.start, p.page FROM {s}.passages p
    WHERE p.user_id = :user AND p.passage_id = ANY(CAST(:ids AS uuid[]))
"""

TEXT = """
    SELECT p.start, p.content FROM {s}.passages p
    WHERE p.user_id = :user AND p.document_id = CAST(:id AS uuid) ORDER BY p.position
"""

PASSAGE_BY_ENTRY = """
    SELECT entry, content FROM {s}.passages WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[]))
"""

ENTRIES = "SELECT entry FROM {s}.passages WHERE user_id = :user AND document_id = CAST(:id AS uuid)"

# Takes a document out of the present; its text stays in the past, its bytes do not.
END = """
    WITH ended AS (
        UPDATE {s}.documents SET superseded_at = :now, object_key = NULL, storage = NULL
        WHERE user_id = :user AND document_id = CAST(:id AS uuid) AND superseded_at IS NULL
    )
    SELECT object_key, storage FROM {s}.documents
    WHERE user_id = :user AND document_id = CAST(:id AS uuid) AND superseded_at IS NULL
"""

ERASE = """
    DELETE FROM {s}.documents WHERE user_id = :user AND document_id = CAST(:id AS uuid)
    RETURNING object_key, storage
"""


@dataclass(frozen=True, slots=True)
class PassagePlace:
    """Where a passage stands."""

    document: str
    position: int
    start: int
    page: int | None


@dataclass(frozen=True, slots=True)
class NewPassage:
    """A passage to be stored and indexed."""

    content: str
    start: int
    page: int | None
    tokens: Sequence[str]


@dataclass(frozen=True, slots=True)
class DocumentContents:
    """What was found in a file; ``portions`` are its passages in order, ``passages`` of them."""

    file_type: FileType
    content_type: str
    characters: int
    passages: int
    portions: Iterable[Sequence[NewPassage]]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document, and what the storage of its object is called, None without an object."""

    document: Document
    storage: str | None


async def announce_object(
    database: Database, user_id: str, capability: str, key: str, seconds: float
) -> Claim:
    """Enqueue the deletion of an object that may come to be, held by the caller for ``seconds``.

    Unless the claim is acknowledged in that time, or renewed, a worker deletes the object.
    """
    async with database.user(user_id) as transaction:
        return await add_held_job(transaction, user_id, OBJECT, capability, {"key": key}, seconds)


async def insert_document(
    database: Database,
    user_id: str,
    new: NewDocument,
    contents: DocumentContents,
    *,
    announced: Claim | None,
) -> Document | None:
    """Store a document, index its passages and enqueue their embedding, in one transaction.

    ``announced`` is the claim of its object, which is acknowledged; None is returned, and nothing stored, when that
    claim ran out.
    """
    async with database.user(user_id) as transaction:
        if announced is not None and not await lock_held(transaction, announced):
            return None
        moment = await begin_write(transaction, user_id, contents.passages)
        document = Document(
            id=str(uuid4()),
            user_id=user_id,
            filename=new.filename,
            file_type=contents.file_type,
            content_type=contents.content_type,
            size=new.size,
            category=new.category,
            tags=new.tags,
            characters=contents.characters,
            passages=contents.passages,
            created_at=moment.now,
            metadata=dict(new.metadata),
            object_key=announced.jobs[0].payload["key"] if announced else None,
        )
        await _insert(transaction, document, announced.capability if announced else None)
        position = 0
        for portion in contents.portions:
            await _insert_passages(transaction, document, portion, position, moment)
            position += len(portion)
        if announced is not None:
            await acknowledge_jobs(transaction, announced)
    return document


async def _insert(transaction: Transaction, document: Document, storage: str | None) -> None:
    facts = {
        "document_id": document.id,
        "filename": document.filename,
        "category": document.category,
        "tags": list(document.tags),
        "file_type": document.file_type,
    }
    await transaction.run(
        INSERT,
        {
            "user": document.user_id,
            "id": document.id,
            "filename": document.filename,
            "file_type": document.file_type,
            "content_type": document.content_type,
            "size": document.size,
            "category": document.category,
            "tags": list(document.tags),
            "metadata": json.dumps(document.metadata),
            "labels": json.dumps({**document.metadata, **facts}),
            "characters": document.characters,
            "passages": document.passages,
            "now": document.created_at,
            "object_key": document.object_key,
            "storage": storage,
        },
    )


async def _insert_passages(
    transaction: Transaction,
    document: Document,
    portion: Sequence[NewPassage],
    position: int,
    moment: WriteStamp,
) -> None:
    ids = [str(uuid4()) for _ in portion]
    entries = [moment.first_entry + position + i for i in range(len(portion))]
    await transaction.run(
        INSERT_PASSAGES,
        {
            "user": document.user_id,
            "document": document.id,
            "now": moment.now,
            "passage_id": ids,
            "position": [position + i for i in range(len(portion))],
            "entry": entries,
            "start": [passage.start for passage in portion],
            "page": [passage.page for passage in portion],
            "content": [passage.content for passage in portion],
        },
    )
    indexed = [
        IndexEntry(entry, item, passage.tokens, "document")
        for entry, item, passage in zip(entries, ids, portion, strict=True)
    ]
    await add_entries(transaction, document.user_id, DOCUMENT_KIND, indexed, moment.now)


async def fetch_documents(database: Database, user_id: str, ids: Sequence[str]) -> dict[str, StoredDocument]:
    """Return those of the documents that are there, by id."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(GET, {"user": user_id, "ids": list(ids)})
    return {str(row.document_id): StoredDocument(_document(row), row.storage) for row in rows}


async def fetch_document_page(
    database: Database, user_id: str, which: DocumentFilter, *, limit: int, offset: int
) -> list[Document]:
    """Return documents, the newest first."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(
            LIST, {"user": user_id, "limit": limit, "offset": offset, **document_filter_parameters(which)}
        )
    return [_document(row) for row in rows]


async def passage_places(
    database: Database, user_id: str, passages: Sequence[str]
) -> dict[str, PassagePlace]:
    """Return where passages stand, by id."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(PLACES, {"user": user_id, "ids": list(passages)})
    return {
        str(row.passage_id): PassagePlace(str(row.document_id), row.position, row.start, row.page)
        for row in rows
    }


async def document_text(database: Database, user_id: str, document_id: str) -> str:
    """Return the text that the passages of a document make up."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(TEXT, {"user": user_id, "id": document_id})
    ends = [row.start for row in rows[1:]]
    parts = [row.content[: end - row.start] for row, end in zip(rows, ends, strict=False)]
    return "".join([*parts, *(row.content for row in rows[-1:])])


async def delete_document(
    database: Database, user_id: str, document_id: str, seconds: float, *, erase: bool
) -> tuple[bool, Claim | None]:
    """Take a document out of the present, or with ``erase`` out of the past too; tells whether there was one.

    The claim is for the deletion of its object, None when it has none.
    """
    place = {"user": user_id, "id": document_id}
    async with database.user(user_id) as transaction:
        now = (await begin_write(transaction, user_id)).now
        entries = [row.entry for row in await transaction.all(ENTRIES, place)]
        gone = await transaction.first(ERASE if erase else END, place if erase else {**place, "now": now})
        if gone is None:
            return False, None
        if erase:
            await erase_entries(transaction, user_id, entries)
        else:
            await close_entries(transaction, user_id, entries, now)
        if gone.object_key is None:
            return True, None
        deletion = {"key": gone.object_key}
        return True, await add_held_job(transaction, user_id, OBJECT, gone.storage, deletion, seconds)


def _document(row: Row) -> Document:
    return Document(
        id=str(row.document_id),
        user_id=row.user_id,
        filename=row.filename,
        file_type=row.file_type,
        content_type=row.content_type,
        size=row.size,
        category=row.category,
        tags=tuple(row.tags),
        characters=row.characters,
        passages=row.passages,
        created_at=row.created_at,
        metadata=row.metadata,
        object_key=row.object_key,
    )
