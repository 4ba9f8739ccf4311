"""Documents, and the passages into which their text is cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

FileType = Literal["txt", "md", "json", "csv", "html", "code", "pdf", "docx", "image"]
FILE_TYPES: tuple[FileType, ...] = ("txt", "md", "json", "csv", "html", "code", "pdf", "docx", "image")


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document as it is handed in; ``size`` is in bytes."""

    filename: str
    category: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Document:
    """A stored file, or a text that was stored as a document.

    ``size`` is in bytes; ``characters`` counts its text, ``passages`` the parts the text was cut into (0 for images and
    scans, which have no text). ``object_key`` is the key of its bytes in the object storage; None when there are
    passages only.
    """

    id: str
    user_id: str
    filename: str
    file_type: FileType
    content_type: str
    size: int
    category: str
    tags: tuple[str, ...]
    characters: int
    passages: int
    created_at: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)
    object_key: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that a search found, with its document.

    ``position`` counts the document's passages from 0; ``start`` is its offset in characters; ``page`` counts from 1,
    None where there are no pages. ``score`` in [0, 1] orders the passages of one search, ``relevance`` compares
    between searches.
    """

    id: str
    content: str
    position: int
    start: int
    page: int | None
    score: float
    relevance: float
    document: Document
