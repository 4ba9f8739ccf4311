"""Files to upload."""

from __future__ import annotations

import io
import zipfile

import docx
from fpdf import FPDF
from pypdf import PdfReader, PdfWriter

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0"
ROWS = (("City", "Inhabitants"), ("Paris", "two million"), ("Lima", "ten million"))


def pdf(*pages: str) -> bytes:
    """A PDF with a page for each text and a table on the last."""
    document = FPDF()
    document.set_font("Helvetica", size=12)
    for page in pages:
        document.add_page()
        document.multi_cell(0, text=page)
    with document.table() as table:
        for cells in ROWS:
            row = table.row()
            for cell in cells:
                row.cell(cell)
    return bytes(document.output())


def encrypted(file: bytes, password: str) -> bytes:
    """The same PDF, readable with a password."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(file)))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def word(*paragraphs: str) -> bytes:
    """A docx with a table after the first paragraph."""
    document = docx.Document()
    document.add_paragraph(paragraphs[0])
    table = document.add_table(len(ROWS), 2)
    for i, cells in enumerate(ROWS):
        for j, cell in enumerate(cells):
            table.cell(i, j).text = cell
    for paragraph in paragraphs[1:]:
        document.add_paragraph(paragraph)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def replaced(archive: bytes, name: str, content: bytes) -> bytes:
    """The same archive with other content in one of its files."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            new.writestr(part, content if part == name else old.read(part))
    return out.getvalue()
