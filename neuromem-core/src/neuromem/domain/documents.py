"""Documents and the passages they are cut into."""

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
    """What the user says about a document; ``size`` is in bytes."""

    filename: str
    category: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Document:
    """A file, or a text that was handed in as one.

    ``size`` is in bytes; ``characters`` counts its text, ``passages`` what the text was cut into (0 for images and
    for scans, in which there is no text). ``object_key`` is where its bytes lie in the object storage; None when the
    passages are all there is.
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
    """A passage that was found, with its document.

    ``position`` counts the document's passages from 0, ``start`` the characters of its text, ``page`` from 1 where
    there are pages. ``score`` in [0, 1] orders the passages of one search, ``relevance`` compares between searches.
    """

    id: str
    content: str
    position: int
    start: int
    page: int | None
    score: float
    relevance: float
    document: Document
