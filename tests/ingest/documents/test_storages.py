"""What both storages do for nm.files."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import httpx
import pytest

from neuromem.errors import InputError, NotFoundError
from neuromem_s3 import S3Storage
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from neuromem.ingest.documents.incoming_file import FileData
    from neuromem.plugin import ObjectStorage

TEXT = b"Whales are mammals. They breathe air. "
LARGE = 9 * 1024 * 1024  # more than goes up in one piece


async def test_what_was_uploaded_comes_back_and_is_found_until_it_is_deleted(
    database_url: str, storage: ObjectStorage
) -> None:
    async with opened(database_url, storage=storage) as nm:
        stored = await nm.files.upload("alice", "whales.txt", TEXT, "sea", ["big"], {"year": 1851})
        assert stored.object_key is not None
        assert (stored.size, stored.file_type, stored.passages) == (len(TEXT), "txt", 1)
        assert await nm.files.get("alice", stored.id) == stored
        assert await nm.files.download("alice", stored.id) == TEXT
        assert await storage.download(stored.object_key) == TEXT
        (found,) = await nm.files.search("alice", "What do whales breathe?")
        assert (found.content, found.position, found.document) == (TEXT.decode(), 0, stored)
        assert await nm.files.delete("alice", stored.id)
        assert not await storage.exists(stored.object_key)
        assert await nm.files.get("alice", stored.id) is None
        assert await nm.files.search("alice", "whales") == []
        assert not await nm.files.delete("alice", stored.id)
        with pytest.raises(NotFoundError, match="alice"):
            await nm.files.download("alice", stored.id)


async def test_a_url_fetches_the_file_with_any_client(database_url: str, storage: ObjectStorage) -> None:
    async with opened(database_url, storage=storage) as nm:
        stored = await nm.files.upload("alice", "whales.txt", TEXT)
        address = await nm.files.url("alice", stored.id, 60)
        if isinstance(storage, S3Storage):
            async with httpx.AsyncClient(trust_env=False) as client:
                reply = await client.get(address)
            assert (reply.content, reply.headers["content-type"]) == (TEXT, "text/plain")
        else:
            assert address.startswith("file:///")


@pytest.mark.parametrize("form", ["bytes", "path", "file", "async file", "stream"])
async def test_a_large_file_comes_in_any_form(
    database_url: str, storage: ObjectStorage, tmp_path: Path, form: str
) -> None:
    image = b"\x89PNG\r\n\x1a\n" + bytes(LARGE)
    path = tmp_path / "large.png"
    path.write_bytes(image)
    forms: dict[str, FileData] = {
        "bytes": image,
        "path": path,
        "file": io.BytesIO(image),
        "async file": _AsyncFile(image),
        "stream": _stream(image),
    }
    async with opened(database_url, storage=storage) as nm:
        stored = await nm.files.upload("alice", "large.png", forms[form])
        assert (stored.size, stored.file_type, stored.passages) == (len(image), "image", 0)
        assert await nm.files.download("alice", stored.id) == image


async def test_32_uploads_at_once_leave_the_loop_free(database_url: str, storage: ObjectStorage) -> None:
    settings = {"work": {"poll": 0.05}}
    async with opened(database_url, storage=storage, settings=settings) as nm:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        names = [f"note {i}.txt" for i in range(32)]
        uploads = [
            nm.files.upload("alice" if i % 2 else "bob", name, f"Note number {i} about topic{i}.".encode())
            for i, name in enumerate(names)
        ]
        stored = await asyncio.gather(*uploads)
        ticking.cancel()
        assert ticks > 32  # a loop that was blocked for every upload would not have come round so often
        assert [document.filename for document in stored] == names
        assert len({document.object_key for document in stored}) == 32
        for i in (0, 31):
            user = "alice" if i % 2 else "bob"
            assert await nm.files.download(user, stored[i].id) == f"Note number {i} about topic{i}.".encode()
            (found, *_) = await nm.files.search(user, f"topic{i}")
            assert found.document == stored[i]


async def test_nothing_is_stored_of_what_is_too_large(database_url: str, storage: ObjectStorage) -> None:
    settings = {"files": {"max_size": 1_000}}
    async with opened(database_url, storage=storage, settings=settings) as nm:
        await nm.files.upload("alice", "fits.txt", b"x" * 1_000)
        with pytest.raises(
            InputError, match=r"'long.txt' of user 'alice' .* more than 1,000 bytes .*max_size"
        ):
            await nm.files.upload("alice", "long.txt", _stream(b"x" * 1_001))
        assert [document.filename for document in await nm.files.list("alice")] == ["fits.txt"]


class _AsyncFile:
    """Reads as the uploads of web frameworks do."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    async def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 700_000):
        yield content[start : start + 700_000]
