"""Detects the type of a file: PDF, docx and images by their content, kinds of text by the file's name."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from neuromem.ingest.documents.refused_file import RefusedFileError

if TYPE_CHECKING:
    from neuromem.domain.documents import FileType

HEAD = 4_096  # bytes that are looked at

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
BRANDS = {b"avif": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif"}

TEXTS: dict[FileType, tuple[str, str]] = {
    "txt": ("text/plain", "txt text log rst tex org"),
    "md": ("text/markdown", "md markdown mdx"),
    "json": ("application/json", "json jsonl ndjson geojson ipynb"),
    "csv": ("text/csv", "csv tsv"),
    "html": ("text/html", "html htm xhtml"),
    "code": (
        "text/plain",
        "py pyi js mjs cjs jsx ts tsx java kt kts scala groovy c h cc cpp cxx hpp cs go rs rb php swift m mm r jl lua "
        "pl pm sh bash zsh fish ps1 bat sql graphql proto css scss less vue svelte dart ex exs erl hs clj lisp el vim "
        "xml yaml yml toml ini cfg conf properties env tf hcl cmake make mk dockerfile gradle diff patch",
    ),
}
BY_SUFFIX: dict[str, FileType] = {
    suffix: kind for kind, (_, suffixes) in TEXTS.items() for suffix in suffixes.split()
}


@dataclass(frozen=True, slots=True)
class DetectedType:
    """The type of a file, and its media type."""

    kind: FileType
    content_type: str


def detect_binary(file: IO[bytes], suffix: str) -> DetectedType | None:
    """Return the type of a binary file, None when it may be text; ``suffix`` is that of its name.

    Raises:
        RefusedFileError: It is an archive that cannot be read or is not a docx.
    """
    file.seek(0)
    head = file.read(HEAD)
    if b"%PDF-" in head[:1_024]:
        return DetectedType("pdf", "application/pdf")
    if head.startswith(b"PK\x03\x04"):
        return _archive(file)
    image = _image(head, suffix)
    return DetectedType("image", image) if image else None


def detect_text(content: str, suffix: str) -> DetectedType:
    """Return the type of a text by the suffix of its name, or by its beginning where that says nothing."""
    kind = BY_SUFFIX.get(suffix) or _by_content(content[:HEAD].lstrip().casefold())
    return DetectedType(kind, TEXTS[kind][0])


def _by_content(head: str) -> FileType:
    return "html" if head.startswith(("<!doctype html", "<html")) else "txt"


def _image(head: bytes, suffix: str) -> str | None:
    for signature, content_type in IMAGES:
        if head.startswith(signature):
            return content_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12])
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if suffix == "svg" and b"<svg" in head:
        return "image/svg+xml"
    return None


def _archive(file: IO[bytes]) -> DetectedType:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise RefusedFileError(f"is a broken archive ({error}).") from error
    if "[Content_Types].xml" in names and "word/document.xml" in names:
        return DetectedType("docx", DOCX)
    raise RefusedFileError("is an archive, but no docx; upload the files in it one by one.")
