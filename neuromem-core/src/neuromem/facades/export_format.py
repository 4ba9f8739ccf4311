"""The format of an export, as a dict and as a file, and reading both.

The file is a zip: ``manifest.json``, ``data/<table>.jsonl`` and ``index/<table>.jsonl``, one row a line, and when asked
for ``objects/<document>``, the bytes of files. The dict has the same: ``manifest``, a list of rows by table, and
``index`` with such lists. The manifest holds the format's version, the user's id, the embedding space of the vectors,
and for each table its columns, rows and SHA-256.
"""

from __future__ import annotations

import json
import os
import zipfile
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from neuromem.errors import InputError
from neuromem.ingest.documents.archive import object_member
from neuromem.store.user_data.export import INDEX_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FORMAT, VERSION = "neuromem", 1
MANIFEST = "manifest.json"
BATCH = 1_000  # rows that are imported by one statement


class ExportDict:
    """An export in memory, as `export_user_data` returns it.

    Raises:
        InputError: The dict is not an export of a version that can be read.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self.manifest = _checked_manifest(data.get("manifest"))

    def rows(self, table: str, types: Mapping[str, str]) -> Iterator[str]:
        """Return the rows of a table as JSON arrays of at most `BATCH` objects.

        ``types`` are the table's column types; the value of a JSON column is written as a string that holds JSON, as
        in the file.
        """
        part = self._data.get("index", {}) if table in INDEX_TABLES else self._data
        found = part.get(table)
        if not isinstance(found, list):
            raise InputError(f"The export lacks its table {table!r}; nothing was imported.")
        json_columns = [column for column, kind in types.items() if kind == "json"]
        lines = (
            json.dumps({**row, **{c: json.dumps(row[c]) for c in json_columns if c in row}}) for row in found
        )
        return _json_arrays(lines)


class ExportFile:
    """An export in a zip, as `export` writes it; every part is checked against its SHA-256 when it is opened.

    Raises:
        InputError: The file cannot be read, is damaged, or is not an export of a version that can be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
            self.manifest = _checked_manifest(json.loads(self._archive.read(MANIFEST)))
            parts = {table_member(name): part for name, part in self.manifest["tables"].items()}
            parts |= {object_member(name): part for name, part in self.manifest.get("objects", {}).items()}
            for name, described in parts.items():
                digest = sha256()
                with self._archive.open(name) as part:
                    while block := part.read(1 << 20):
                        digest.update(block)
                if digest.hexdigest() != described["sha256"]:
                    raise InputError(f"{name} in {os.fspath(path)!r} is damaged; nothing was imported.")
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{os.fspath(path)!r} cannot be read as an export: {error}.") from error

    def object(self, document_id: str) -> bytes:
        """Return the bytes of a document."""
        return self._archive.read(object_member(document_id))

    def rows(self, table: str, types: Mapping[str, str]) -> Iterator[str]:
        """Return the rows of a table as JSON arrays of at most `BATCH` objects."""
        del types  # JSON columns are strings in the file already
        with self._archive.open(table_member(table)) as lines:
            yield from _json_arrays(line.decode() for line in lines)


def new_manifest(
    user_id: str, *, created_at: str, revision: object, space: object, tables: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the manifest of an export."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "user_id": user_id,
        "created_at": created_at,
        "schema": revision,
        "space": space,
        "tables": tables,
    }


def table_entry(columns: Iterable[str], rows: int, digest: str) -> dict[str, Any]:
    """Return what the manifest holds about a table; ``digest`` is the SHA-256 of its lines."""
    return {"columns": list(columns), "rows": rows, "sha256": digest}


def table_member(table: str) -> str:
    """Return the name of a table's part of the zip."""
    return f"{'index' if table in INDEX_TABLES else 'data'}/{table}.jsonl"


def export_digest(manifest: Mapping[str, Any]) -> str:
    """Return a hash that is the same for the same export only, by which importing it again is recognized."""
    parts = [manifest["user_id"], *(f"{n} {d['sha256']}" for n, d in sorted(manifest["tables"].items()))]
    return sha256("\n".join(parts).encode()).hexdigest()


def _json_arrays(lines: Iterable[str]) -> Iterator[str]:
    """Join lines of JSON to arrays of at most `BATCH`."""
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield f"[{','.join(batch)}]"
            batch = []
    if batch:
        yield f"[{','.join(batch)}]"


def _checked_manifest(manifest: Any) -> dict[str, Any]:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError("This is not an export of neuromem: it lacks the manifest.")
    if manifest.get("version") != VERSION:
        raise InputError(
            f"The export has version {manifest.get('version')!r} of the format; this neuromem reads {VERSION}."
        )
    return manifest
