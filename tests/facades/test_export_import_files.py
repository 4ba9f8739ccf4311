"""Files that move with their user: their bytes in the export, on request, and back into a storage."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import ConfigurationError, InputError, StorageError
from neuromem.testing import MemoryStorage
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterable
    from pathlib import Path

TEXT, IMAGE = b"Whales are mammals.", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4


async def test_bytes_move_when_asked_for(database_url: str, empty_url: str, tmp_path: Path) -> None:
    path, without = tmp_path / "alice.zip", tmp_path / "without.zip"
    async with opened(database_url, storage=MemoryStorage()) as nm:
        text = await nm.files.upload("alice", "whales.txt", TEXT)
        image = await nm.files.upload("alice", "whale.png", IMAGE)
        made = await nm.files.create_from_text("alice", "note", "Krill is small.")
        manifest = await nm.export("alice", path, objects=True)
        assert {name: told["bytes"] for name, told in manifest["objects"].items()} == {
            text.id: len(TEXT),
            image.id: len(IMAGE),
        }
        assert "objects" not in await nm.export("alice", without)
    there = MemoryStorage()
    async with opened(empty_url, storage=there) as nm:
        assert (await nm.import_user_data("alice", path, dry_run=True))["objects"] == 0
        assert there.objects == {}
        assert (await nm.import_user_data("alice", path))["objects"] == 2
        assert await nm.files.download("alice", text.id) == TEXT
        assert await nm.files.download("alice", image.id) == IMAGE
        assert await nm.files.download("alice", made.id) == b"Krill is small."
        assert (await nm.files.search("alice", "whales"))[0].document.id == text.id
        again = await nm.import_user_data("alice", path)
        assert (again["already"], again["objects"], len(there.objects)) == (True, 0, 2)
        await nm.delete_user_data("alice")
        await nm.drain()
        assert there.objects == {}
        assert await nm.verify_deleted("alice") == {"rows": 0, "objects_pending": 0}


class Failing(MemoryStorage):
    """Takes so many files."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    async def upload(
        self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
    ) -> str:
        if len(self.objects) == self.most:
            raise StorageError("The storage is full.", provider="memory")
        return await super().upload(key, data, content_type)


async def test_what_was_interrupted_goes_on_and_what_is_missing_or_damaged_is_said(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    path, damaged = tmp_path / "alice.zip", tmp_path / "damaged.zip"
    async with opened(database_url, storage=MemoryStorage()) as nm:
        ids = [(await nm.files.upload("alice", f"{i}.txt", f"File {i}".encode())).id for i in range(3)]
        await nm.export("alice", path, objects=True)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(damaged, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, b"else" if name == f"objects/{ids[0]}" else data)
    storage = Failing(2)
    async with opened(empty_url, storage=storage) as nm:
        with pytest.raises(InputError, match=f"objects/{ids[0]} .* is damaged"):
            await nm.import_user_data("alice", damaged)
        with pytest.raises(StorageError, match="full"):
            await nm.import_user_data("alice", path)
        storage.most = 9
        assert (await nm.import_user_data("alice", path))["objects"] == 1
        assert [await nm.files.download("alice", one) for one in ids] == [b"File 0", b"File 1", b"File 2"]
    async with opened(database_url, storage=Elsewhere()) as nm:
        with pytest.raises(ConfigurationError, match="lies in another storage"):
            await nm.export("alice", tmp_path / "no.zip", objects=True)
        assert not {"no.zip", "no.zip.part"} & set(os.listdir(tmp_path))


class Elsewhere(MemoryStorage):
    """Another storage than the one that the files lie in."""

    @property
    def provider(self) -> str:
        return "elsewhere"
