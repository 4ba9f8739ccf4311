"""Storages and databases that fail: both sides stay together, and what is to be deleted is, in the end."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import ConfigurationError, ConflictError, InputError, NotFoundError, StorageError
from neuromem_local import FolderStorage
from tests.conftest import opened
from tests.ingest.documents import samples

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable
    from pathlib import Path

    from neuromem.memory import NeuroMemory
    from tests.ingest.documents.state import Place

SETTINGS = {"work": {"poll": 0.05, "retry_delay": 0.02, "max_attempts": 2}}


class Moody(FolderStorage):
    """Raises what it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fails: set[str] = set()
        self.raises: Callable[[], Exception] = lambda: StorageError("The disk is full.", provider="moody")
        self.refused = 0

    async def upload(
        self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
    ) -> str:
        stored = await super().upload(key, data, content_type)
        self._mood("upload")  # the worst way to fail: it is stored, and nobody knows
        return stored

    async def delete(self, key: str) -> bool:
        self._mood("delete")
        return await super().delete(key)

    def _mood(self, what: str) -> None:
        if what in self.fails:
            self.refused += 1
            raise self.raises()


@pytest.fixture
def moody(place: Place) -> Moody:
    return Moody(place.folder.root)


async def test_an_upload_that_fails_leaves_nothing(place: Place, moody: Moody) -> None:
    async with opened(place.database_url, storage=moody, settings=SETTINGS) as nm:
        moody.fails = {"upload"}
        with pytest.raises(StorageError, match="The disk is full"):
            await nm.files.upload("alice", "note.txt", b"Some text.")
        assert await nm.drain(timeout=60) == 0
    assert not any((await place.check()).values())


async def test_a_deletion_is_tried_until_the_object_is_gone(place: Place, moody: Moody) -> None:
    async with opened(place.database_url, storage=moody, settings=SETTINGS) as nm:
        stored = await nm.files.upload("alice", "note.txt", b"Some text.")
        await nm.drain()
        for error in (
            lambda: StorageError("No.", provider="moody"),
            lambda: RuntimeError("a bug of the storage"),
        ):
            moody.fails, moody.raises, moody.refused = {"delete"}, error, 0
            assert await nm.files.delete("alice", stored.id)
            assert await nm.files.get("alice", stored.id) is None
            assert await nm.files.search("alice", "text") == []
            async with asyncio.timeout(60):
                while moody.refused < 4:  # noqa: ASYNC110  more often than a job of another kind is tried
                    await asyncio.sleep(0.02)
            assert (await nm.recall("alice", "text"))["pending"] == 0  # nothing to be found is missing
            moody.fails = set()
            assert await nm.drain(timeout=60) == 0
            assert place.objects() == []
            stored = await nm.files.upload("alice", "note.txt", b"Some text.")
            await nm.drain()
    await place.check()


async def test_a_canceled_upload_leaves_nothing(place: Place, moody: Moody) -> None:
    async with opened(place.database_url, storage=moody, settings=SETTINGS) as nm:
        for wait in (0.0, 0.05, 0.3, 0.6):
            upload = asyncio.create_task(nm.files.upload("alice", "note.txt", b"Some text."))
            await asyncio.sleep(wait)
            upload.cancel()
            await asyncio.wait([upload])
            assert await nm.drain(timeout=60) == 0
            await place.check()


async def test_a_stream_that_breaks_leaves_nothing(nm: NeuroMemory, place: Place) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"Some"
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        await nm.files.upload("alice", "note.txt", stream())
    assert not any((await place.check()).values())


async def test_deleting_leaves_other_documents_and_users_alone(nm: NeuroMemory, place: Place) -> None:
    mine = await nm.files.upload("alice", "one.txt", b"About whales.")
    other = await nm.files.upload("alice", "two.txt", b"About whales too.")
    bobs = await nm.files.upload("bob", "one.txt", b"About whales.")
    await nm.drain()
    assert not await nm.files.delete("alice", bobs.id)
    with pytest.raises(NotFoundError, match="bob"):
        await nm.files.download("bob", mine.id)
    assert await nm.files.get("bob", mine.id) is None
    assert await nm.files.delete("alice", mine.id)
    assert [found.document for found in await nm.files.search("alice", "whales")] == [other]
    assert [found.document for found in await nm.files.search("bob", "whales")] == [bobs]
    counts = await place.counts()
    assert (counts["documents"], counts["entries"], counts["counted"], counts["vectors"]) == (1, 1, 1, 1)


async def test_without_a_storage_files_say_what_to_do(database_url: str) -> None:
    async with opened(database_url, storage="none") as nm:
        with pytest.raises(ConfigurationError, match=r"storage=.*NEUROMEM_STORAGE"):
            await nm.files.upload("alice", "note.txt", b"Some text.")


async def test_a_file_of_another_storage_is_not_looked_for_in_this_one(
    database_url: str, folder: FolderStorage, tmp_path: Path
) -> None:
    class Elsewhere(FolderStorage):
        @property
        def provider(self) -> str:
            return "elsewhere"

    async with opened(database_url, storage=folder) as nm:
        stored = await nm.files.upload("alice", "note.txt", b"Some text.")
        await nm.drain()
    async with opened(database_url, storage=Elsewhere(tmp_path / "elsewhere")) as nm:
        with pytest.raises(ConfigurationError, match="another storage"):
            await nm.files.download("alice", stored.id)
        assert await nm.files.delete("alice", stored.id)
    assert stored.object_key is not None
    assert await folder.exists(stored.object_key)  # only its own storage can delete it
    async with opened(database_url, storage=folder) as nm:
        assert await nm.drain(timeout=60) == 0
    assert not await folder.exists(stored.object_key)


@pytest.mark.parametrize(
    "arguments",
    [
        {"file_data": "a text"},
        {"file_data": 7},
        {"file_data": b""},
        {"tags": "work"},
        {"tags": [1]},
        {"category": ""},
        {"metadata": {"a": object()}},
        {"user_id": ""},
    ],
)
async def test_what_cannot_be_used_is_refused_before_anything_is_stored(
    nm: NeuroMemory, place: Place, arguments: dict[str, object]
) -> None:
    given = {"user_id": "alice", "filename": "note.txt", "file_data": b"Some text.", **arguments}
    with pytest.raises(InputError):
        await nm.files.upload(**given)  # type: ignore[arg-type]
    assert not any((await place.check()).values())


async def test_a_path_that_cannot_be_read_is_refused(nm: NeuroMemory, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.txt"):
        await nm.files.upload("alice", "note.txt", tmp_path / "missing.txt")
    with pytest.raises(InputError, match="cannot be read"):
        await nm.files.upload("alice", "note.txt", tmp_path)
    with pytest.raises(InputError, match="binary mode"):
        await nm.files.upload("alice", "note.txt", io.StringIO("Some text."))


@pytest.mark.parametrize(
    ("module", "extra", "name"), [("pypdf", "pdf", "paper.pdf"), ("docx", "docx", "letter.docx")]
)
async def test_a_type_whose_library_is_missing_names_the_extra(
    nm: NeuroMemory,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    extra: str,
    name: str,
) -> None:
    file = samples.pdf("Whales.") if extra == "pdf" else samples.word("Whales.")
    (tmp_path / f"{module}.py").write_text("raise ImportError('not installed')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ConfigurationError, match=rf"'{name}' of user 'alice' .* pip install 'neuromem\[{extra}\]'"
    ):
        await nm.files.upload("alice", name, file)
    assert not any((await place.check()).values())


async def test_what_reads_files_sees_no_keys(
    nm: NeuroMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that takes over the library which reads it finds nothing of value there."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("NEUROMEM_DATABASE_URL", "postgresql://secret")
    file = samples.pdf("Whales.")
    (tmp_path / "pypdf.py").write_text(
        "import sys, types\n"
        "errors = sys.modules['pypdf.errors'] = types.ModuleType('pypdf.errors')\n"
        "errors.DependencyError = type('DependencyError', (Exception,), {})\n"
        "class PdfReader:\n"
        "    def __init__(self, file):\n"
        "        import os; raise RuntimeError(sorted(os.environ))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="PATH") as caught:
        await nm.files.upload("alice", "paper.pdf", file)
    assert "KEY" not in str(caught.value)
    assert "NEUROMEM" not in str(caught.value)


async def test_a_user_who_is_deleted_takes_the_objects_along(nm: NeuroMemory, place: Place) -> None:
    for user in ("alice", "bob"):
        await nm.files.upload(user, "note.txt", b"Some text.")
        await nm.files.upload(user, "photo.png", samples.PNG)
    await nm.delete_user_data("alice")
    assert await nm.drain(timeout=60) == 0
    assert await nm.verify_deleted("alice") == {"rows": 0, "objects_pending": 0}
    assert await place.keys("bob") == place.objects()
    assert len(place.objects()) == 2


async def test_a_user_who_is_deleted_during_an_upload_leaves_nothing(place: Place) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()

    class Slow(FolderStorage):
        async def upload(
            self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
        ) -> str:
            entered.set()
            await gate.wait()
            return await super().upload(key, data, content_type)

    async with opened(place.database_url, storage=Slow(place.folder.root), settings=SETTINGS) as nm:
        uploading = asyncio.create_task(nm.files.upload("alice", "note.txt", b"Some text."))
        await entered.wait()
        await nm.delete_user_data("alice")
        gate.set()
        with pytest.raises(ConflictError):
            await uploading
        assert await nm.drain(timeout=60) == 0
    assert place.objects() == []
    assert not any((await place.check()).values())
