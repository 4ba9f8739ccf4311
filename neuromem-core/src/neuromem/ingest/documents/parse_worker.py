"""Parses one file in a process of its own: standard input is the file, standard output takes the result.

The only argument is JSON, an `Order`. The result is JSON Lines: a header, then lists of passages
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
from neuromem.ingest.documents.chunking import cut
from neuromem.ingest.documents.encoding import clean, decode
from neuromem.ingest.documents.pdf_docx import BREAK, docx_blocks, pdf_pages
from neuromem.ingest.documents.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuromem.domain.documents import FileType
    from neuromem.ingest.documents.file_types import Sort

PORTION = 40  # passages in a line
PLAIN = {"json": text_formats.plain_json, "csv": text_formats.plain_csv, "html": text_formats.plain_html}
BY_LINE: frozenset[FileType] = frozenset({"json", "csv", "html", "code", "docx"})


@dataclass(frozen=True, slots=True)
class Order:
    """What to do, and with how much: bytes of ``memory``, ``seconds`` of CPU, ``most`` characters of text.

    ``text`` says that the bytes are UTF-8, whatever they look like.
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
    """What a file is and its text; ``pages`` are the places where its pages begin."""

    sort: Sort
    text: str
    pages: list[int]


def read(file: IO[bytes], order: Order) -> Content:
    """Return the text of a file; `Refused` when there is no way."""
    sort = None if order.text else file_types.binary(file, order.suffix)
    if sort is None:
        file.seek(0)
        text = clean(decode(file.read()))
        sort = file_types.text(text, order.suffix)
        plain = PLAIN.get(sort.kind)
        return Content(sort, _within(order, text if plain is None else clean(plain(text))), [])
    if sort.kind == "pdf":
        text, pages = _joined(order, pdf_pages(file))
        return Content(sort, text, pages)
    if sort.kind == "docx":
        return Content(sort, _joined(order, docx_blocks(file, order.memory // 4))[0], [])
    return Content(sort, "", [])


def _joined(order: Order, parts: Iterable[str]) -> tuple[str, list[int]]:
    """Return the parts as one text, and where each begins."""
    found: list[str] = []
    starts: list[int] = []
    length = 0
    for part in parts:
        starts.append(length)
        found.append(clean(part).strip())
        length += len(found[-1]) + len(BREAK)
        _check(order, length)
    return BREAK.join(found), starts


def _within(order: Order, text: str) -> str:
    _check(order, len(text))
    return text


def _check(order: Order, characters: int) -> None:
    if characters > order.most:
        raise Refused(f"has more than {order.most:,} characters of text (settings.files.max_text).")


def write(content: Content, order: Order, out: IO[str]) -> None:
    """Write the header and the passages."""
    text, pages = content.text, content.pages
    ranges = cut(text, tokens=order.tokens, overlap=order.overlap, by_line=content.sort.kind in BY_LINE)
    _line(
        out,
        {
            "kind": content.sort.kind,
            "content_type": content.sort.content_type,
            "characters": len(text) if ranges else 0,
            "passages": len(ranges),
        },
    )
    for first in range(0, len(ranges), PORTION):
        _line(
            out,
            [
                (
                    text[start:end],
                    start,
                    bisect_right(pages, start) or None,
                    tokenize(text[start:end], order.language),
                )
                for start, end in ranges[first : first + PORTION]
            ],
        )


def _line(out: IO[str], value: Any) -> None:
    json.dump(value, out, ensure_ascii=False, separators=(",", ":"))
    out.write("\n")


def limit(order: Order) -> None:
    """Bound what this process may use, as far as the system can."""
    if sys.platform != "win32":
        import resource

        for what, most in (
            (resource.RLIMIT_AS, order.memory),
            (resource.RLIMIT_CPU, order.seconds),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hard = resource.getrlimit(what)
            value = most if hard == resource.RLIM_INFINITY else min(most, hard)
            try:
                resource.setrlimit(what, (value, value))
            except (ValueError, OSError):  # macOS knows no limit of address space
                continue


def main() -> None:
    """Parse standard input."""
    order = Order(**json.loads(sys.argv[1]))
    limit(order)
    with open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False) as out:
        try:
            content = read(sys.stdin.buffer, order)
        except Refused as refused:
            _line(out, {"refused": str(refused), "extra": refused.extra})
        else:
            write(content, order, out)


if __name__ == "__main__":
    main()
