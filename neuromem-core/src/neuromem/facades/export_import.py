"""Exporting a user's data to a dict or a file, and importing it; the format stands in `export_format`."""

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
from neuromem.facades.export_format import (
    MANIFEST,
    ExportDict,
    ExportFile,
    export_digest,
    new_manifest,
    table_entry,
    table_member,
)
from neuromem.ingest.documents.archive import export_objects, import_objects
from neuromem.store.database.database import DryRunError
from neuromem.store.user_data.export import INDEX_TABLES, open_export
from neuromem.store.user_data.import_data import begin_import, check_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuromem.ingest.documents.object_store import Objects
    from neuromem.plugin.context import Clock
    from neuromem.store.database.database import Database
    from neuromem.store.user_data.export import UserExport
    from neuromem.store.user_data.import_data import UserImport


class ExportImport:
    """Exports and imports everything of a user; ``objects`` is the object storage, None without one."""

    def __init__(
        self, database: Database, clock: Clock, objects: Objects | None, *, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._objects = objects
        self._wake = wake

    async def export_user_data(self, user_id: str) -> dict[str, Any]:
        """Return everything of a user as one dict; `export` writes more than fits into memory.

        Args:
            user_id: The user.

        Returns:
            ``manifest``, ``index``, and a list of rows by table, as JSON can hold them. The bytes of files are not in
            it.

        Raises:
            InputError: ``user_id`` cannot be used.
        """
        validation.user_id(user_id)
        data: dict[str, Any] = {"manifest": {}, "index": {}}
        tables = {}
        async with open_export(self._database, user_id) as found:
            for table in found.tables:
                rows, digest = [], sha256()
                json_columns = [column for column, kind in table.portable.items() if kind == "json"]
                async for lines in found.lines(table):
                    for line in lines:
                        digest.update(line.encode() + b"\n")
                        row = json.loads(line)
                        rows.append({**row, **{column: json.loads(row[column]) for column in json_columns}})
                part = data["index"] if table.name in INDEX_TABLES else data
                part[table.name] = rows
                tables[table.name] = table_entry(table.portable, len(rows), digest.hexdigest())
            data["manifest"] = self._manifest(user_id, found, tables)
        return data

    async def export(
        self, user_id: str, path: str | os.PathLike[str], *, objects: bool = False
    ) -> dict[str, Any]:
        """Write everything of a user into a zip and return its manifest.

        Rows are streamed: a million memories need no more of this process's memory than a thousand. The file is
        there when it is complete, or not at all.

        Args:
            user_id: The user.
            path: Where the zip goes; an existing file is replaced.
            objects: Include the bytes of files, which lie in the object storage. Their text is always included.

        Returns:
            The manifest: format, version, user, and for each table its columns, rows and SHA-256.

        Raises:
            InputError: ``user_id`` cannot be used.
            ConfigurationError: ``objects=True`` without an object storage, or with files in another one.
            StorageError: The object storage failed.
            OSError: The file cannot be written.
        """
        validation.user_id(user_id)
        storage = self._storage("export(objects=True) needs an object storage") if objects else None
        target = Path(path)
        part = target.with_name(target.name + ".part")
        tables = {}
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                async with open_export(self._database, user_id) as found:
                    for table in found.tables:
                        rows, digest = 0, sha256()
                        with archive.open(table_member(table.name), "w", force_zip64=True) as member:
                            async for lines in found.lines(table):
                                block = "".join(f"{line}\n" for line in lines).encode()
                                digest.update(block)
                                rows += len(lines)
                                await asyncio.to_thread(member.write, block)
                        tables[table.name] = table_entry(table.portable, rows, digest.hexdigest())
                    stored = await found.objects(user_id) if storage is not None else []
                    manifest = self._manifest(user_id, found, tables)
                if storage is not None:  # downloads must not keep the transaction open
                    manifest["objects"] = await export_objects(storage, stored, archive)
                archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return manifest

    async def import_user_data(
        self, user_id: str, data: Mapping[str, Any] | str | os.PathLike[str], *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Store what `export_user_data` returned or `export` wrote, all or nothing, for a user without data.

        Ids and times stay what they were; vectors of another embedding space are made again. Bytes of files follow the
        rows, into the object storage: interrupted, the rest is stored when the same is imported again.

        Args:
            user_id: The user who gets the data; need not be the one it was exported from.
            data: The dict, or the path of the zip.
            dry_run: Check everything and store nothing.

        Returns:
            ``imported``, the rows by table; ``objects``, how many files' bytes were stored; ``already``, whether this
            very export was imported before: then nothing changes.

        Raises:
            InputError: It is damaged or not an export, or ``user_id`` cannot be used.
            ConflictError: The user has other data.
            ConfigurationError: The export has bytes of files and there is no object storage; the rows were imported.
        """
        validation.user_id(user_id)
        source = (
            ExportDict(data)
            if not isinstance(data, str | os.PathLike)
            else await asyncio.to_thread(ExportFile, data)
        )
        manifest = source.manifest
        counts: dict[str, int] = {}
        try:
            async with begin_import(
                self._database,
                user_id,
                digest=export_digest(manifest),
                space=manifest["space"],
                old_user=manifest["user_id"],
            ) as target:
                if target is not None:
                    counts = await _import_rows(target, source)
                if dry_run:
                    raise DryRunError
        except DryRunError:
            pass
        restored = 0
        if (described := manifest.get("objects")) and isinstance(source, ExportFile) and not dry_run:
            storage = self._storage("The bytes of its files need an object storage; all else was imported")
            restored = await import_objects(self._database, storage, user_id, described, source.object)
        self._wake()
        return {"imported": counts, "objects": restored, "already": target is None}

    def _storage(self, what: str) -> Objects:
        if self._objects is None:
            raise ConfigurationError(
                f"{what}. None was chosen: give NeuroMemory(storage=...), or set NEUROMEM_STORAGE, and try again."
            )
        return self._objects

    def _manifest(self, user_id: str, found: UserExport, tables: dict[str, Any]) -> dict[str, Any]:
        return new_manifest(
            user_id,
            created_at=self._clock.now().isoformat(),
            revision=found.revision,
            space=found.space,
            tables=tables,
        )


async def _import_rows(target: UserImport, source: ExportDict | ExportFile) -> dict[str, int]:
    """Store the rows of every table and return how many there were of each."""
    described = source.manifest["tables"]
    check_tables(target.tables, {name: entry["columns"] for name, entry in described.items()})
    counts: dict[str, int] = {}
    for name in [name for name in target.tables if name in described and target.wanted(name)]:
        counts[name] = 0
        for rows in source.rows(name, target.tables[name].columns):
            counts[name] += await target.add(name, described[name]["columns"], rows)
        if counts[name] != described[name]["rows"]:
            raise InputError(
                f"The export has {counts[name]} rows of {name} where its manifest says "
                f"{described[name]['rows']}; nothing was imported."
            )
    return counts
