from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuromem.errors import InputError, NotFoundError, StorageError
from neuromem_local import FolderStorage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "deep" / "objects")


def files(storage: FolderStorage) -> list[Path]:
    return [path for path in storage.root.rglob("*") if path.is_file()]


async def test_an_object_from_upload_to_delete(storage: FolderStorage) -> None:
    assert await storage.upload("alice/notes.txt", b"\0hello", "text/plain") == "alice/notes.txt"
    assert await storage.exists("alice/notes.txt")
    assert await storage.download("alice/notes.txt") == b"\0hello"
    assert await storage.upload("alice/notes.txt", b"") == "alice/notes.txt"
    assert await storage.download("alice/notes.txt") == b""
    assert await storage.delete("alice/notes.txt") is True
    assert await storage.delete("alice/notes.txt") is False
    assert not await storage.exists("alice/notes.txt")
    with pytest.raises(NotFoundError, match=r"alice/notes\.txt"):
        await storage.download("alice/notes.txt")


async def test_it_survives_a_new_instance(storage: FolderStorage) -> None:
    await storage.upload("k", b"kept")
    assert await FolderStorage(storage.root).download("k") == b"kept"


async def test_a_stream_is_stored_whole(storage: FolderStorage) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for number in range(50):
            yield bytes([number]) * 10_000

    await storage.upload("big", stream())
    assert await storage.download("big") == b"".join(bytes([number]) * 10_000 for number in range(50))


async def test_a_stream_that_breaks_leaves_what_was_there(storage: FolderStorage) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"new"
        raise ConnectionResetError("the sender is gone")

    await storage.upload("key", b"old")
    with pytest.raises(StorageError):
        await storage.upload("key", stream())
    assert await storage.download("key") == b"old"
    assert len(files(storage)) == 1


async def test_an_upload_that_is_cancelled_leaves_nothing(storage: FolderStorage) -> None:
    begun = asyncio.Event()

    async def stream() -> AsyncIterator[bytes]:
        yield b"part"
        begun.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(storage.upload("key", stream()))
    await begun.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert files(storage) == []


KEYS = [
    *(
        "..",
        ".",
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b",
        "a//b",
        "/",
        "//",
        "a/",
        "nul\0byte",
        "a\nb",
    ),
    *("A", "a", "a/b", "a+/b", "a+", "+incoming", "+incoming/x", "%2e", "%", "con", "a\\b", " ", "\ud800"),
    *("😀/猫.png", "x" * 300, "x" * 299 + "y"),
]


async def test_no_key_leads_out_of_the_folder_and_no_two_meet(storage: FolderStorage, tmp_path: Path) -> None:
    for key in KEYS:
        await storage.upload(key, repr(key).encode())
    for key in KEYS:
        assert await storage.download(key) == repr(key).encode()
    assert len(files(storage)) == len(KEYS)
    assert os.listdir(tmp_path) == ["deep"]
    names = {str(path).lower() for path in files(storage)}
    assert len(names) == len(KEYS), "some keys would meet where upper and lower case are one"
    for key in KEYS:
        assert await storage.delete(key)
    assert files(storage) == []


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_different_keys_have_different_files(first: str, second: str) -> None:
    storage = FolderStorage("/objects")
    paths = [storage._path(key) for key in (first, second)]
    assert (first == second) == (str(paths[0]).lower() == str(paths[1]).lower())
    for path in paths:
        assert path.is_relative_to("/objects")
        assert not {".", ".."} & set(path.parts)
        assert all(len(os.fsencode(part)) <= 255 for part in path.parts)


@pytest.mark.parametrize("key", ["", "x" * 1025, "猫" * 342])
async def test_keys_that_no_storage_takes(storage: FolderStorage, key: str) -> None:
    with pytest.raises(InputError):
        await storage.upload(key, b"x")


async def test_delete_leaves_no_trace_of_the_user(storage: FolderStorage) -> None:
    await storage.upload("alice/a/b/c.txt", b"x")
    await storage.upload("bob/c.txt", b"x")
    await storage.delete("alice/a/b/c.txt")
    assert sorted(path.name for path in storage.root.iterdir()) == ["+incoming", "bob+"]


async def test_uploads_and_deletes_of_neighbors_do_not_disturb_each_other(storage: FolderStorage) -> None:
    async def busy(number: int) -> None:
        for _ in range(20):
            await storage.upload(f"shared/{number}", b"x")
            await storage.delete(f"shared/{number}")

    await asyncio.gather(*(busy(number) for number in range(8)))
    assert files(storage) == []


async def test_files_are_for_their_owner_alone(storage: FolderStorage) -> None:
    await storage.upload("alice/notes.txt", b"private")
    assert storage.root.stat().st_mode & 0o077 == 0
    assert files(storage)[0].stat().st_mode & 0o077 == 0


async def test_what_a_killed_process_left_is_swept_away(storage: FolderStorage) -> None:
    await storage.upload("kept", b"x")
    old, young = storage.root / "+incoming" / "old", storage.root / "+incoming" / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - 48 * 3600))
    await FolderStorage(storage.root).upload("another", b"x")
    assert not old.exists()
    assert young.exists()


async def test_the_url_fetches_the_object(storage: FolderStorage) -> None:
    await storage.upload("with space/猫.txt", b"meow")
    url = await storage.presigned_url("with space/猫.txt")
    with urlopen(url) as reply:  # noqa: ASYNC210
        assert reply.read() == b"meow"


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="Cannot store the object 'k'"):
        await FolderStorage(tmp_path / "file").upload("k", b"x")
