"""What a file is: content decides between text, PDF, docx and image; the name tells texts apart."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from neuromem.ingest.documents.refusal import Refused

if TYPE_CHECKING:
    from neuromem.domain.documents import FileType

HEAD = 4_096

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
class Sort:
    """What a file is, and its content type."""

    kind: FileType
    content_type: str


def binary(file: IO[bytes], suffix: str) -> Sort | None:
    """Return what a file is that is no text; None when it may be one."""
    file.seek(0)
    head = file.read(HEAD)
    if b"%PDF-" in head[:1_024]:
        return Sort("pdf", "application/pdf")
    if head.startswith(b"PK\x03\x04"):
        return _archive(file)
    image = _image(head, suffix)
    return Sort("image", image) if image else None


def text(content: str, suffix: str) -> Sort:
    """Return which sort of text a text is."""
    kind = BY_SUFFIX.get(suffix) or _by_content(content[:HEAD].lstrip().casefold())
    return Sort(kind, TEXTS[kind][0])


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


def _archive(file: IO[bytes]) -> Sort:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Refused(f"is a broken archive ({error}).") from error
    if "[Content_Types].xml" in names and "word/document.xml" in names:
        return Sort("docx", DOCX)
    raise Refused("is an archive, but no docx; upload the files in it one by one.")
