"""A user who leaves: nothing is left, whoever is writing at the time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from neuromem.errors import StorageError
from neuromem.testing import MemoryStorage
from neuromem.testing.internals import database_of, flush_access_counts
from tests.conftest import opened
from tests.support.user_data import relate

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.conftest import Server


async def filled(nm: NeuroMemory, user: str) -> None:
    """Give a user something of everything."""
    await nm.ingest(user, "user", "I live in Rome", name="Alice", auto_extract=False)
    memory = await nm.add_memory(user, "Likes tea")
    await nm.update_memory(user, memory.id, "Likes green tea")
    await nm.kv.set(user, "profile", "identity", "Alice")
    await nm.kv.set(user, "notes", "a", 1)
    await relate(nm, user, "LIVES_IN", "LOCATION", "Rome")
    await nm.recall(user, "tea")
    await flush_access_counts(nm)


async def test_nothing_is_left_of_who_leaves_and_everything_of_the_others(nm: NeuroMemory) -> None:
    for user in ("alice", "bob"):
        await filled(nm, user)
    before = await nm.export_user_data("bob")
    result = await nm.delete_user_data("alice")
    deleted = result["deleted"]
    assert (deleted["messages"], deleted["memories"], deleted["kv"], deleted["users"], deleted["edges"]) == (
        1,
        2,
        2,
        1,
        1,
    )
    assert await nm.verify_deleted("alice") == {"rows": 0, "objects_pending": 0}
    assert (await nm.recall("alice", "tea Rome"))["merged"] == []
    assert await nm.list_memories("alice") == []
    assert (await nm.verify_deleted("bob"))["rows"] > 10
    assert (await nm.export_user_data("bob"))["memories"] == before["memories"]
    again = await nm.delete_user_data("alice")
    assert set(again["deleted"].values()) == {0}
    assert again["deleted"].keys() == deleted.keys()


async def test_a_table_added_tomorrow_is_not_forgotten(nm: NeuroMemory, server: Server) -> None:
    await nm.add_memory("alice", "Likes tea")
    database = database_of(nm)
    async with database.worker() as transaction:
        await transaction.run(
            'CREATE TABLE {s}.tomorrow (user_id text COLLATE "C" NOT NULL, n int, PRIMARY KEY (user_id, n))'
        )
        await transaction.run("INSERT INTO {s}.tomorrow VALUES ('alice', 1), ('bob', 1)")
    async with database.user("alice") as transaction:
        assert (await nm.verify_deleted("alice"))["rows"] > 1
        assert await transaction.value("SELECT count(*) FROM {s}.tomorrow") == 2
    assert (await nm.delete_user_data("alice"))["deleted"]["tomorrow"] == 1
    assert await nm.verify_deleted("alice") == {"rows": 0, "objects_pending": 0}


class Stubborn(MemoryStorage):
    """A storage that will not delete until it is told to."""

    stubborn = True

    async def delete(self, key: str) -> bool:
        if self.stubborn:
            raise StorageError("not now", provider=self.provider)
        return await super().delete(key)


async def test_objects_follow_until_they_are_gone_and_say_nothing_of_whose_they_were(
    database_url: str,
) -> None:
    storage = Stubborn()
    async with opened(
        database_url, storage=storage, settings={"work": {"retry_delay": 0.05, "poll": 0.05}}
    ) as nm:
        assert nm.files is not None
        document = await nm.files.upload("alice", "a.txt", b"Rome is eternal")
        assert document.object_key is not None
        await nm.delete_user_data("alice")
        assert await nm.verify_deleted("alice") == {"rows": 0, "objects_pending": 1}
        async with database_of(nm).worker() as transaction:
            rows = await transaction.all("SELECT user_id, payload, error FROM {s}.jobs")
        assert all(row.user_id.startswith("deleted-") and "alice" not in str(row) for row in rows)
        storage.stubborn = False
        await nm.drain()
        assert await nm.verify_deleted("alice") == {"rows": 0, "objects_pending": 0}
        assert await storage.exists(document.object_key) is False


async def test_who_is_written_to_while_leaving_comes_back_whole_or_not_at_all(nm: NeuroMemory) -> None:
    for round_ in range(3):
        user = f"user {round_}"
        begun = asyncio.Event()

        async def write(n: int, user: str = user, begun: asyncio.Event = begun) -> None:
            await nm.ingest(user, "user", f"Message {n} about Rome", f"session {n % 3}", name="Alice")
            if n > 3:
                begun.set()
            await nm.add_memory(user, f"Memory {n}")
            await nm.recall(user, "Rome")
            await flush_access_counts(nm, user)

        async def leave(user: str = user, begun: asyncio.Event = begun) -> None:
            await begun.wait()
            await nm.delete_user_data(user)

        await asyncio.gather(leave(), *(write(n) for n in range(12)))
        await nm.drain()
        async with database_of(nm).user(user) as transaction:
            orphans = await transaction.first(
                """
                SELECT (SELECT count(*) FROM {s}.messages m WHERE NOT EXISTS (
                            SELECT FROM {s}.entries e WHERE e.item = m.message_id AND e.entry = m.entry)) AS messages,
                       (SELECT count(*) FROM {s}.memories m WHERE NOT EXISTS (
                            SELECT FROM {s}.vectors v WHERE v.entry = m.entry)) AS memories,
                       (SELECT count(*) FROM {s}.entries e WHERE e.item NOT IN (
                            SELECT message_id FROM {s}.messages UNION ALL SELECT memory_id FROM {s}.memories))
                           AS entries,
                       (SELECT count(*) FROM {s}.postings p WHERE p.entry NOT IN (SELECT entry FROM {s}.entries))
                           AS postings,
                       (SELECT count(*) FROM {s}.accesses a WHERE a.memory_id NOT IN (
                            SELECT memory_id FROM {s}.memories)) AS accesses,
                       (SELECT coalesce(sum(c.entries), 0) FROM {s}.corpora c)
                           - (SELECT count(*) FROM {s}.entries) AS corpora,
                       (SELECT count(*) FROM {s}.jobs) AS jobs
                """
            )
        assert orphans is not None
        assert set(orphans) == {0}, orphans
        await nm.delete_user_data(user)
        assert await nm.verify_deleted(user) == {"rows": 0, "objects_pending": 0}
