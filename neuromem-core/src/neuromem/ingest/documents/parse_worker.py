"""Parses one file, as the main program of a process: standard input is the file, the result goes to standard output.

The only argument is JSON, a `ParseRequest`. The result is JSON Lines: a header, then lists of passages
``[content, start, page, terms]``.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_right
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from neuromem.domain.text.tokenizer import tokenize
from neuromem.ingest.documents import file_types, text_formats
from neuromem.ingest.documents.chunking import passage_ranges
from neuromem.ingest.documents.encoding import clean_document_text, decode_text
from neuromem.ingest.documents.pdf_docx import BREAK, docx_blocks, pdf_pages
from neuromem.ingest.documents.refused_file import RefusedFileError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuromem.domain.documents import FileType
    from neuromem.ingest.documents.file_types import DetectedType

BATCH = 40  # passages in a line
PLAIN = {"json": text_formats.plain_json, "csv": text_formats.plain_csv, "html": text_formats.plain_html}
BY_LINE: frozenset[FileType] = frozenset({"json", "csv", "html", "code", "docx"})


@dataclass(frozen=True, slots=True)
class ParseRequest:
    """How a file is to be parsed, and within which limits.

    Attributes:
        suffix: The suffix of the file's name, without the dot, in lower case.
        text: The bytes are text in UTF-8, whatever they look like.
        language: The language by which passages are tokenized.
        most: Characters of text that the file may have.
        tokens: Tokens of a passage, about.
        overlap: Tokens of these that are shared with the passage before.
        memory: Bytes of memory that the process may take.
        seconds: Seconds of CPU that the process may take.
    """

    suffix: str
    text: bool
    language: str
    most: int
    tokens: int
    overlap: int
    memory: int
    seconds: int


@dataclass(slots=True)
class Content:
    """The type of a file and its text; ``pages`` are the offsets at which its pages begin."""

    detected: DetectedType
    text: str
    pages: list[int]


def read_content(file: IO[bytes], request: ParseRequest) -> Content:
    """Return the text of a file; raises `RefusedFileError` when it cannot be read."""
    detected = None if request.text else file_types.detect_binary(file, request.suffix)
    if detected is None:
        file.seek(0)
        text = clean_document_text(decode_text(file.read()))
        detected = file_types.detect_text(text, request.suffix)
        plain = PLAIN.get(detected.kind)
        return Content(
            detected, _checked(request, text if plain is None else clean_document_text(plain(text))), []
        )
    if detected.kind == "pdf":
        text, pages = _joined(request, pdf_pages(file))
        return Content(detected, text, pages)
    if detected.kind == "docx":
        return Content(detected, _joined(request, docx_blocks(file, request.memory // 4))[0], [])
    return Content(detected, "", [])


def _joined(request: ParseRequest, parts: Iterable[str]) -> tuple[str, list[int]]:
    """Return the parts as one text, and where each begins."""
    found: list[str] = []
    starts: list[int] = []
    length = 0
    for part in parts:
        starts.append(length)
        found.append(clean_document_text(part).strip())
        length += len(found[-1]) + len(BREAK)
        _check_length(request, length)
    return BREAK.join(found), starts


def _checked(request: ParseRequest, text: str) -> str:
    _check_length(request, len(text))
    return text


def _check_length(request: ParseRequest, characters: int) -> None:
    if characters > request.most:
        raise RefusedFileError(
            f"has more than {request.most:,} characters of text (settings.files.max_text)."
        )


def write_result(content: Content, request: ParseRequest, out: IO[str]) -> None:
    """Write the header and the passages of a parsed file."""
    text, pages = content.text, content.pages
    ranges = passage_ranges(
        text, tokens=request.tokens, overlap=request.overlap, by_line=content.detected.kind in BY_LINE
    )
    _write_line(
        out,
        {
            "kind": content.detected.kind,
            "content_type": content.detected.content_type,
            "characters": len(text) if ranges else 0,
            "passages": len(ranges),
        },
    )
    for first in range(0, len(ranges), BATCH):
        _write_line(
            out,
            [
                (
                    text[start:end],
                    start,
                    bisect_right(pages, start) or None,
                    tokenize(text[start:end], request.language),
                )
                for start, end in ranges[first : first + BATCH]
            ],
        )


def _write_line(out: IO[str], value: Any) -> None:
    json.dump(value, out, ensure_ascii=False, separators=(",", ":"))
    out.write("\n")


def limit_resources(request: ParseRequest) -> None:
    """Limit the memory and CPU time of this process, as far as the system can."""
    if sys.platform != "win32":
        import resource

        for what, most in (
            (resource.RLIMIT_AS, request.memory),
            (resource.RLIMIT_CPU, request.seconds),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hard = resource.getrlimit(what)
            value = most if hard == resource.RLIM_INFINITY else min(most, hard)
            try:
                resource.setrlimit(what, (value, value))
            except (ValueError, OSError):  # macOS has no limit of address space
                continue


def main() -> None:
    """Parse standard input and write the result, or why the file is refused, to standard output."""
    request = ParseRequest(**json.loads(sys.argv[1]))
    limit_resources(request)
    with open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False) as out:
        try:
            content = read_content(sys.stdin.buffer, request)
        except RefusedFileError as refused:
            _write_line(out, {"refused": str(refused), "extra": refused.extra})
        else:
            write_result(content, request, out)


if __name__ == "__main__":
    main()
