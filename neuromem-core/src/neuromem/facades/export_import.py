"""A user's data as a dict or a file, and back.

The file is a zip: ``manifest.json``, ``data/<table>.jsonl`` and ``index/<table>.jsonl``, one row a line, and when asked
for ``objects/<document>``, the bytes of files. The dict has
the same: ``manifest``, a list of rows by table, and ``index`` with such lists. The manifest tells the format's version,
whose data it is, the embedding space of the vectors, and of each table its columns, rows and SHA-256.
"""

from __future__ import annotations

import asyncio
import json
import os
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.errors import ConfigurationError, InputError
from neuromem.facades.life import Operations
from neuromem.ingest.documents.archive import carry_in, carry_out, member
from neuromem.store.user_data.export import INDEX_TABLES, UserExport, open_export
from neuromem.store.user_data.import_data import begin_import, check_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from neuromem.ingest.documents.object_store import Objects

FORMAT, VERSION = "neuromem", 1
BATCH = 1_000  # rows
MANIFEST = "manifest.json"


class ExportImport(Operations):
    """Exports and imports."""

    async def export_user_data(self, user_id: str) -> dict[str, Any]:
        """Return everything of a user as one dict; `export` writes more than fits into memory."""
        validation.user_id(user_id)
        data: dict[str, Any] = {"manifest": {}, "index": {}}
        described = {}
        async with open_export(self._life.database, user_id) as found:
            for table in found.tables:
                rows, digest = [], sha256()
                parsed = [column for column, kind in table.portable.items() if kind == "json"]
                async for lines in found.lines(table):
                    for line in lines:
                        digest.update(line.encode() + b"\n")
                        row = json.loads(line)
                        rows.append({**row, **{column: json.loads(row[column]) for column in parsed}})
                place = data["index"] if table.name in INDEX_TABLES else data
                place[table.name] = rows
                described[table.name] = _described(table.portable, len(rows), digest.hexdigest())
            data["manifest"] = self._manifest(user_id, found, described)
        return data

    async def export(
        self, user_id: str, path: str | os.PathLike[str], *, objects: bool = False
    ) -> dict[str, Any]:
        """Write everything of a user into a zip and return its manifest.

        Rows are streamed: a million memories need no more of this process's memory than a thousand. The file is
        there when it is complete, or not at all. The text of files is part of it; their bytes, which lie in the object
        storage, with ``objects=True``.
        """
        validation.user_id(user_id)
        carrier = self._objects("export(objects=True) needs an object storage") if objects else None
        target = Path(path)
        part = target.with_name(target.name + ".part")
        described = {}
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                async with open_export(self._life.database, user_id) as found:
                    for table in found.tables:
                        rows, digest = 0, sha256()
                        with archive.open(_member(table.name), "w", force_zip64=True) as part_of:
                            async for lines in found.lines(table):
                                block = "".join(f"{line}\n" for line in lines).encode()
                                digest.update(block)
                                rows += len(lines)
                                await asyncio.to_thread(part_of.write, block)
                        described[table.name] = _described(table.portable, rows, digest.hexdigest())
                    kept = await found.objects(user_id) if carrier is not None else []
                    manifest = self._manifest(user_id, found, described)
                if carrier is not None:  # the storage is asked outside of the transaction
                    manifest["objects"] = await carry_out(carrier, kept, archive)
                archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return manifest

    async def import_user_data(
        self, user_id: str, data: Mapping[str, Any] | str | os.PathLike[str], *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Store what `export_user_data` returned or `export` wrote, all or nothing, for a user without data.

        Returns ``{"imported": {table: rows}, "objects": n, "already": bool}``; importing the same export again changes
        nothing and says ``already``. ``dry_run=True`` checks everything and stores nothing. Ids and times stay what
        they were; vectors of another embedding space are made anew. Bytes of files follow the rows, into the object
        storage: interrupted, the rest is stored when the same is imported again. Raises `InputError` for what is
        damaged or not an export, `ConflictError` when the user has other data.
        """
        validation.user_id(user_id)
        restored = 0
        source = (
            _Dict(data) if not isinstance(data, str | os.PathLike) else await asyncio.to_thread(_File, data)
        )
        manifest = source.manifest
        counts: dict[str, int] = {}
        try:
            async with begin_import(
                self._life.database,
                user_id,
                digest=_digest(manifest),
                space=manifest["space"],
                old_user=manifest["user_id"],
            ) as into:
                if into is not None:
                    described = manifest["tables"]
                    check_tables(into.tables, {name: d["columns"] for name, d in described.items()})
                    for name in [name for name in into.tables if name in described and into.wanted(name)]:
                        counts[name] = 0
                        for rows in source.rows(name, into.tables[name].columns):
                            counts[name] += await into.add(name, described[name]["columns"], rows)
                        if counts[name] != described[name]["rows"]:
                            raise InputError(
                                f"The export has {counts[name]} rows of {name} where its manifest says "
                                f"{described[name]['rows']}; nothing was imported."
                            )
                if dry_run:
                    raise _DryRunError
        except _DryRunError:
            pass
        if (carried := manifest.get("objects")) and isinstance(source, _File) and not dry_run:
            carrier = self._objects("The bytes of its files need an object storage; all else was imported")
            restored = await carry_in(self._life.database, carrier, user_id, carried, source.object)
        self._life.wake()
        return {"imported": counts, "objects": restored, "already": into is None}

    def _objects(self, what: str) -> Objects:
        if self._life.objects is None:
            raise ConfigurationError(
                f"{what}. None was chosen: give NeuroMemory(storage=...), or set NEUROMEM_STORAGE, and try again."
            )
        return self._life.objects

    def _manifest(self, user_id: str, found: UserExport, tables: dict[str, Any]) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "user_id": user_id,
            "created_at": self._life.clock.now().isoformat(),
            "schema": found.revision,
            "space": found.space,
            "tables": tables,
        }


class _DryRunError(Exception):
    """Rolls back what was only tried."""


class _Dict:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self.manifest = _checked(data.get("manifest"))

    def rows(self, table: str, types: Mapping[str, str]) -> Iterator[str]:
        place = self._data.get("index", {}) if table in INDEX_TABLES else self._data
        found = place.get(table)
        if not isinstance(found, list):
            raise InputError(f"The export lacks its table {table!r}; nothing was imported.")
        texts = [column for column, kind in types.items() if kind == "json"]
        lines = (json.dumps({**row, **{c: json.dumps(row[c]) for c in texts if c in row}}) for row in found)
        return _arrays(lines)


class _File:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
            self.manifest = _checked(json.loads(self._archive.read(MANIFEST)))
            parts = {_member(name): told for name, told in self.manifest["tables"].items()}
            parts |= {member(name): told for name, told in self.manifest.get("objects", {}).items()}
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
        return self._archive.read(member(document_id))

    def rows(self, table: str, types: Mapping[str, str]) -> Iterator[str]:
        with self._archive.open(_member(table)) as lines:
            yield from _arrays(line.decode() for line in lines)


def _arrays(lines: Iterable[str]) -> Iterator[str]:
    """Join lines of JSON to arrays of many."""
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield f"[{','.join(batch)}]"
            batch = []
    if batch:
        yield f"[{','.join(batch)}]"


def _member(table: str) -> str:
    return f"{'index' if table in INDEX_TABLES else 'data'}/{table}.jsonl"


def _described(columns: Iterable[str], rows: int, digest: str) -> dict[str, Any]:
    return {"columns": list(columns), "rows": rows, "sha256": digest}


def _digest(manifest: Mapping[str, Any]) -> str:
    """Return what tells this export from others."""
    parts = [manifest["user_id"], *(f"{n} {d['sha256']}" for n, d in sorted(manifest["tables"].items()))]
    return sha256("\n".join(parts).encode()).hexdigest()


def _checked(manifest: Any) -> dict[str, Any]:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError("This is not an export of neuromem: it lacks the manifest.")
    if manifest.get("version") != VERSION:
        raise InputError(
            f"The export has version {manifest.get('version')!r} of the format; this neuromem reads {VERSION}."
        )
    return manifest
