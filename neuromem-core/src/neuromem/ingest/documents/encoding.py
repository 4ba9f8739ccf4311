"""Decodes bytes of unknown encoding to text."""

from __future__ import annotations

import codecs
import re

from neuromem.ingest.documents.refused_file import RefusedFileError

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Encodings that are common in files. Rarer ones would only make these harder to tell apart.
CANDIDATES = [
    "utf_16_le",
    "utf_16_be",
    "gb18030",
    "big5",
    "cp932",
    "euc_jp",
    "cp949",
    "cp1252",
    "cp1251",
    "cp1250",
    "koi8_r",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
]
SAMPLE = 200_000  # bytes from which the encoding is guessed
MAX_NUL_SHARE = 0.1  # text in UTF-16 has a larger share of NUL bytes
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]{2,40})", re.IGNORECASE)
_EMPTY = re.compile(r"\s{256,}")
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def decode_text(raw: bytes) -> str:
    """Return the text that bytes encode.

    Tried in this order: a byte order mark, UTF-8, the encoding that an HTML page declares, a guess from the bytes.

    Raises:
        RefusedFileError: The bytes are not text.
    """
    for mark, encoding in BOMS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    if raw.count(0, 0, SAMPLE) <= min(len(raw), SAMPLE) * MAX_NUL_SHARE:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            pass
        declared = _DECLARED.search(raw[:2_048])
        if declared is not None:
            try:
                return raw.decode(declared[1].decode())
            except (LookupError, UnicodeError):
                pass
    return raw.decode(_guess(raw[:SAMPLE]), "replace")


def clean_document_text(text: str) -> str:
    """Return the text with ``\\n`` as line ends, without control characters, and runs of 256 or more spaces cut."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n")
    return _EMPTY.sub("\n\n", _CONTROL.sub("", text))


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=CANDIDATES).best()
    if best is None:
        raise RefusedFileError(
            "is neither a text nor a PDF, docx or image, which are the files that can be taken."
        )
    return best.encoding
