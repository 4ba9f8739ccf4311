"""Processes killed with -9 at every step of an upload and of a deletion: what is left is whole or gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from neuromem_local import FolderStorage
from tests.conftest import opened
from tests.support.processes import Child

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from tests.ingest.documents.state import Place
    from tests.support.processes import Report

SETTINGS = {"work": {"lease": 1.0, "poll": 0.05, "retry_delay": 0.05}, "files": {"passage_tokens": 40}}
TEXT = "".join(f"Sentence {n} speaks of whales. " for n in range(100)).encode()
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


class Stopping(FolderStorage):
    """Reports each step; the process waits at the one it shall be killed at."""

    def __init__(self, root: Any, report: Report, last: str) -> None:
        super().__init__(root)
        self._report = report
        self._last = last

    @property
    def provider(self) -> str:
        return "neuromem_local"  # where it stores, whoever opens it next

    async def step(self, name: str) -> None:
        if name == self._last:
            self._report(name)
            await asyncio.Event().wait()

    async def upload(
        self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
    ) -> str:
        await self.step("announced")
        await super().upload(key, self._halved(data), content_type)
        await self.step("stored")
        return key

    async def delete(self, key: str) -> bool:
        await self.step("rows deleted")
        deleted = await super().delete(key)
        await self.step("object deleted")
        return deleted

    async def _halved(self, data: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        assert isinstance(data, bytes)
        yield data[: len(data) // 2]
        await self.step("half stored")
        yield data[len(data) // 2 :]


async def work(report: Report, url: str, root: str, last: str) -> None:
    """Upload a file, delete it, and stop on the way."""
    storage = Stopping(root, report, last)

    async def stream() -> AsyncIterator[bytes]:
        yield TEXT
        await storage.step("half received")

    async with opened(url, storage=storage, settings=SETTINGS, worker=False) as nm:
        document = await nm.files.upload("alice", "whales.txt", stream())
        await storage.step("uploaded")
        await nm.files.delete("alice", document.id)
        await storage.step("deleted")


async def waiting(place: Place) -> bool:
    """Tell whether somebody waits for a lock."""
    async with place.database.worker() as transaction:
        return bool(await transaction.value(WAITING))


async def recover(place: Place) -> dict[str, int]:
    """Start anew, let the background work end, and return what there is."""
    async with opened(place.database_url, storage=place.folder, settings=SETTINGS) as nm:
        assert await nm.drain(timeout=60) == 0
        found = await nm.files.search("alice", "sentence 17", limit=100)
        documents = await nm.files.list("alice")
        assert {passage.document.id for passage in found} == {document.id for document in documents}
        for document in documents:
            assert await nm.files.download("alice", document.id) == TEXT
    return await place.check()


STEPS = (
    "half received",
    "announced",
    "half stored",
    "stored",
    "uploaded",
    "rows deleted",
    "object deleted",
    "deleted",
)


@pytest.mark.parametrize("last", STEPS)
async def test_a_kill_leaves_no_orphan(place: Place, last: str) -> None:
    child = Child(work, place.database_url, str(place.folder.root), last)
    assert await asyncio.to_thread(child.next) == last
    await asyncio.to_thread(child.kill)
    if last in ("half stored", "stored", "rows deleted"):
        assert await place.announced() == 1  # what is left to be done is written down
    counts = await recover(place)
    assert counts["documents"] == (last == "uploaded")
    assert (counts["passages"] > 10) is (last == "uploaded")
    assert counts["vectors"] == counts["passages"]
    assert counts["jobs"] == 0


async def test_a_kill_in_the_transaction_that_makes_the_document_leaves_no_orphan(place: Place) -> None:
    async with opened(place.database_url) as nm:
        await nm.kv.set("alice", "any", "key", 1)  # so that there is a row to lock
    async with place.database.user("alice") as blocking:
        await blocking.run("UPDATE {s}.users SET language = language WHERE user_id = 'alice'")
        child = Child(work, place.database_url, str(place.folder.root), "uploaded")
        async with asyncio.timeout(60):
            while not await waiting(place):  # noqa: ASYNC110  another process's doing
                await asyncio.sleep(0.02)
        assert len(place.objects()) == 1
        await asyncio.to_thread(child.kill)
    counts = await recover(place)
    assert not any(counts.values())


async def test_a_process_that_slept_too_long_loses_its_upload_and_says_so(place: Place) -> None:
    """As a laptop does that was closed in the middle of an upload."""
    gate, entered = asyncio.Event(), asyncio.Event()

    class Sleeping(FolderStorage):
        async def upload(
            self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
        ) -> str:
            entered.set()
            await gate.wait()
            return await super().upload(key, data, content_type)

    from neuromem.errors import ConflictError

    storage = Sleeping(place.folder.root)
    async with opened(place.database_url, storage=storage, settings=SETTINGS) as nm:
        uploading = asyncio.create_task(nm.files.upload("alice", "whales.txt", TEXT))
        await entered.wait()
        async with place.database.user("alice") as transaction:
            await transaction.run(
                "UPDATE {s}.jobs SET lease = gen_random_uuid(), lease_until = now() WHERE kind = 'object'"
            )
        async with asyncio.timeout(60):
            while await place.announced():  # noqa: ASYNC110  until the worker has looked after it
                await asyncio.sleep(0.02)
        gate.set()
        with pytest.raises(ConflictError, match=r"'whales.txt' of user 'alice' stood still"):
            await uploading
        assert await nm.drain(timeout=60) == 0
    assert not any((await place.check()).values())
