"""Stores and deletes documents with their passages; `query.py` reads them.

A document that is deleted but not erased keeps its text in the past; the bytes of its file are deleted either way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.documents import Document
from neuromem.store.database.users import begin_write
from neuromem.store.queue.job_kinds import OBJECT
from neuromem.store.queue.jobs import acknowledge_jobs, add_held_job, lock_held
from neuromem.store.search_index.entries import (
    DOCUMENT_KIND,
    IndexEntry,
    add_entries,
    close_entries,
    erase_entries,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neuromem.domain.documents import FileType, NewDocument
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.users import WriteStamp
    from neuromem.store.queue.jobs import Claim

INSERT_DOCUMENT = """
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

PASSAGE_BY_ENTRY = """
    SELECT entry, content FROM {s}.passages WHERE user_id = :user AND entry = ANY(CAST(:entry AS int[]))
"""

ENTRIES_OF_DOCUMENT = (
    "SELECT entry FROM {s}.passages WHERE user_id = :user AND document_id = CAST(:id AS uuid)"
)

# The document stays in the past, without an object. The SELECT sees the row as it was before the UPDATE.
CLOSE_DOCUMENT = """
    WITH ended AS (
        UPDATE {s}.documents SET superseded_at = :now, object_key = NULL, storage = NULL
        WHERE user_id = :user AND document_id = CAST(:id AS uuid) AND superseded_at IS NULL
    )
    SELECT object_key, storage FROM {s}.documents
    WHERE user_id = :user AND document_id = CAST(:id AS uuid) AND superseded_at IS NULL
"""

DELETE_DOCUMENT = """
    DELETE FROM {s}.documents WHERE user_id = :user AND document_id = CAST(:id AS uuid)
    RETURNING object_key, storage
"""


@dataclass(frozen=True, slots=True)
class NewPassage:
    """A passage to be stored and indexed.

    Attributes:
        content: Its text.
        start: The first character of the document's text that belongs to it.
        page: The page, from 1; None where the file type has none.
        tokens: The words by which it is found.
    """

    content: str
    start: int
    page: int | None
    tokens: Sequence[str]


@dataclass(frozen=True, slots=True)
class DocumentContents:
    """What was found in a file.

    Attributes:
        file_type: The type of the file.
        content_type: Its MIME type.
        characters: The length of its text.
        passages: How many passages it has.
        portions: The passages in order, in lists that are stored one after the other.
    """

    file_type: FileType
    content_type: str
    characters: int
    passages: int
    portions: Iterable[Sequence[NewPassage]]


async def insert_document(
    database: Database,
    user_id: str,
    new: NewDocument,
    contents: DocumentContents,
    *,
    announced: Claim | None,
) -> Document | None:
    """Store a document, index its passages and enqueue their embedding, in one transaction.

    Args:
        database: The database to write to.
        user_id: Whose document.
        new: The document as it was uploaded.
        contents: What was found in the file.
        announced: The claim of its object (see `objects.py`), which is acknowledged; None without an object.

    Returns:
        The document; None, and nothing is stored, when the claim has run out.
    """
    async with database.user(user_id) as transaction:
        if announced is not None and not await lock_held(transaction, announced):
            return None
        stamp = await begin_write(transaction, user_id, contents.passages)
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
            created_at=stamp.now,
            metadata=dict(new.metadata),
            object_key=announced.jobs[0].payload["key"] if announced else None,
        )
        await _insert_document(transaction, document, announced.capability if announced else None)
        position = 0
        for portion in contents.portions:
            await _insert_passages(transaction, document, portion, position, stamp)
            position += len(portion)
        if announced is not None:
            await acknowledge_jobs(transaction, announced)
    return document


async def _insert_document(transaction: Transaction, document: Document, storage: str | None) -> None:
    facts = {
        "document_id": document.id,
        "filename": document.filename,
        "category": document.category,
        "tags": list(document.tags),
        "file_type": document.file_type,
    }
    await transaction.run(
        INSERT_DOCUMENT,
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
    stamp: WriteStamp,
) -> None:
    ids = [str(uuid4()) for _ in portion]
    entries = [stamp.first_entry + position + i for i in range(len(portion))]
    await transaction.run(
        INSERT_PASSAGES,
        {
            "user": document.user_id,
            "document": document.id,
            "now": stamp.now,
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
    await add_entries(transaction, document.user_id, DOCUMENT_KIND, indexed, stamp.now)


async def delete_document(
    database: Database, user_id: str, document_id: str, seconds: float, *, erase: bool
) -> tuple[bool, Claim | None]:
    """Delete a document with its passages, and announce the deletion of its object.

    Args:
        database: The database to write to.
        user_id: Whose document.
        document_id: The document.
        seconds: How long the claim for the object lasts.
        erase: Delete it from the past too.

    Returns:
        Whether there was such a document, and the claim for deleting its object; None when it has none.
    """
    scope = {"user": user_id, "id": document_id}
    async with database.user(user_id) as transaction:
        now = (await begin_write(transaction, user_id)).now
        entries = [row.entry for row in await transaction.all(ENTRIES_OF_DOCUMENT, scope)]
        deleted = await transaction.first(
            DELETE_DOCUMENT if erase else CLOSE_DOCUMENT, scope if erase else {**scope, "now": now}
        )
        if deleted is None:
            return False, None
        if erase:
            await erase_entries(transaction, user_id, entries)
        else:
            await close_entries(transaction, user_id, entries, now)
        if deleted.object_key is None:
            return True, None
        deletion = {"key": deleted.object_key}
        return True, await add_held_job(transaction, user_id, OBJECT, deleted.storage, deletion, seconds)
