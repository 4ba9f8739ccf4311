"""Extracts the text of PDF and docx files, each by a library that an extra installs."""

from __future__ import annotations

import zipfile
from typing import IO, TYPE_CHECKING, Any

from neuromem.ingest.documents.refused_file import RefusedFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PARTS = 10_000  # files in a docx
BREAK = "\n\n"


def pdf_pages(file: IO[bytes]) -> Iterator[str]:
    """Return the text of each page of a PDF; raises `RefusedFileError` when it cannot be read."""
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError
    except ImportError as error:
        raise RefusedFileError("is a PDF, which needs an extra.", extra="pdf") from error
    file.seek(0)
    done = 0
    try:
        reader = PdfReader(file)
        if reader.is_encrypted and not reader.decrypt(""):
            raise RefusedFileError("is a PDF that opens with a password only; save it without one.")
        for page in reader.pages:
            yield page.extract_text()
            done += 1
    except DependencyError as error:
        raise RefusedFileError(f"is an encrypted PDF: {error}. Save it without encryption.") from error
    except (RefusedFileError, MemoryError):
        raise
    except Exception as error:
        where = f"after page {done}" if done else "at its beginning"
        raise RefusedFileError(f"is a broken PDF ({type(error).__name__} {where}: {error}).") from error


def docx_blocks(file: IO[bytes], most: int) -> Iterator[str]:
    """Return the paragraphs and tables of a docx in their order.

    Raises:
        RefusedFileError: It cannot be read, or unpacks to more than ``most`` bytes.
    """
    try:
        import docx
    except ImportError as error:
        raise RefusedFileError("is a docx, which needs an extra.", extra="docx") from error
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > most:
        raise RefusedFileError(f"unpacks to more than {most:,} bytes, which no document does.")
    file.seek(0)
    try:
        yield from _blocks(docx.Document(file))
    except (RefusedFileError, MemoryError):
        raise
    except Exception as error:
        raise RefusedFileError(f"is a broken docx ({type(error).__name__}: {error}).") from error


def _blocks(container: Any) -> Iterator[str]:
    from docx.table import Table

    for block in container.iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                # a cell that spans several columns comes once for each
                cells = {id(cell._tc): cell for cell in row.cells}
                texts = (" ".join(" ".join(_blocks(cell)).split()) for cell in cells.values())
                yield " | ".join(text for text in texts if text)
        else:
            yield block.text
