"""Reads documents and their passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.domain.documents import Document
from neuromem.store.database.sql import fill
from neuromem.store.search_index.filters import document_condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import DocumentFilter
    from neuromem.store.database.database import Database
    from neuromem.store.database.rows import Row

DOCUMENT_COLUMNS = """
    d.document_id, d.user_id, d.filename, d.file_type, d.content_type, d.size, d.category, d.tags, d.metadata,
    d.characters, d.passages, d.created_at, d.object_key, d.storage
"""

SELECT_DOCUMENTS = fill(
    """
    SELECT {columns} FROM {s}.documents d
    WHERE d.user_id = :user AND d.document_id = ANY(CAST(:ids AS uuid[])) AND d.superseded_at IS NULL
    """,
    columns=DOCUMENT_COLUMNS,
)

SELECT_PAGE = """
    SELECT {columns} FROM {s}.documents d WHERE d.user_id = :user AND d.superseded_at IS NULL AND {matches}
    ORDER BY d.created_at DESC, d.document_id LIMIT :limit OFFSET :offset
"""

SELECT_PASSAGE_PLACES = """
    SELECT p.passage_id, p.document_id, p.position, p.start, p.page FROM {s}.passages p
    WHERE p.user_id = :user AND p.passage_id = ANY(CAST(:ids AS uuid[]))
"""

SELECT_PASSAGES_OF_DOCUMENT = """
    SELECT p.start, p.content FROM {s}.passages p
    WHERE p.user_id = :user AND p.document_id = CAST(:id AS uuid) ORDER BY p.position
"""


@dataclass(frozen=True, slots=True)
class PassagePlace:
    """Where a passage is in its document.

    Attributes:
        document: The id of the document.
        position: Its number among the passages, from 0.
        start: The first character of the document's text that belongs to it.
        page: The page, from 1; None where the file type has none.
    """

    document: str
    position: int
    start: int
    page: int | None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document and where its bytes are.

    Attributes:
        document: The document.
        storage: The name of the storage that has its object; None without an object.
    """

    document: Document
    storage: str | None


async def fetch_documents(database: Database, user_id: str, ids: Sequence[str]) -> dict[str, StoredDocument]:
    """Return current documents by id, without those that do not exist."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(SELECT_DOCUMENTS, {"user": user_id, "ids": list(ids)})
    return {str(row.document_id): StoredDocument(_document(row), row.storage) for row in rows}


async def fetch_document_page(
    database: Database, user_id: str, which: DocumentFilter, *, limit: int, offset: int
) -> list[Document]:
    """Return a page of current documents, the newest first.

    Args:
        database: The database to read from.
        user_id: Whose documents.
        which: Which documents.
        limit: The most documents to return.
        offset: How many documents to skip.
    """
    matches = document_condition(which)
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(
            fill(SELECT_PAGE, columns=DOCUMENT_COLUMNS, matches=matches),
            {"user": user_id, "limit": limit, "offset": offset},
        )
    return [_document(row) for row in rows]


async def passage_places(
    database: Database, user_id: str, passages: Sequence[str]
) -> dict[str, PassagePlace]:
    """Return by id where passages are in their documents."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(SELECT_PASSAGE_PLACES, {"user": user_id, "ids": list(passages)})
    return {
        str(row.passage_id): PassagePlace(str(row.document_id), row.position, row.start, row.page)
        for row in rows
    }


async def document_text(database: Database, user_id: str, document_id: str) -> str:
    """Return the text of a document, put together from its passages, which overlap."""
    async with database.reader(user_id) as transaction:
        rows = await transaction.all(SELECT_PASSAGES_OF_DOCUMENT, {"user": user_id, "id": document_id})
    ends = [row.start for row in rows[1:]]
    parts = [row.content[: end - row.start] for row, end in zip(rows, ends, strict=False)]
    return "".join([*parts, *(row.content for row in rows[-1:])])


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
