"""Another embedding model: filled beside the old one, switched to at once, dropped on request."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from neuromem import InputError, NeuroMemory
from neuromem.admin import open_admin
from neuromem.config import Settings
from neuromem.errors import EmbeddingSpaceError, NotFoundError, ProviderResponseError
from neuromem.registry import PluginRegistry
from neuromem.testing import HashEmbedding
from neuromem.testing.internals import database_of
from tests.conftest import opened
from tests.support.processes import Child
from tests.support.user_data import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.store.database.database import Database
    from tests.support.processes import Report

QUICK = {"work": {"poll": 0.02, "embed_batch": 3}}


class Held(HashEmbedding):
    """Embeds nothing until it may; ``refuses`` is a word that it never takes."""

    def __init__(self, dims: int = 32, model: str = "new", refuses: str | None = None) -> None:
        super().__init__(dims, model)
        self.may = asyncio.Event()
        self.asked = asyncio.Event()
        self._refuses = refuses

    @property
    def provider(self) -> str:
        return "neuromem"

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.set()
        await self.may.wait()
        if self._refuses is not None and any(self._refuses in text for text in texts):
            raise ProviderResponseError("I do not like a text.", provider="neuromem")
        return await super().embed_batch(texts)


def new(dims: int = 32) -> HashEmbedding:
    return HashEmbedding(dims, "new")


async def fill(nm: NeuroMemory, *users: str) -> None:
    for user in users:
        for i in range(10):
            await nm.ingest(
                user, "user", f"The train number {i} leaves from platform {i + 20}", session_id="s"
            )
        memory = await nm.add_memory(user, "Anna lives in Berlin")
        await nm.update_memory(user, memory.id, content="Anna lives in Paris")
    await nm.drain()


async def spaces_of_vectors(nm: NeuroMemory, user: str) -> dict[int, int]:
    async with database_of(nm).user(user) as transaction:
        rows = await transaction.all(
            "SELECT space, count(*) AS n FROM {s}.vectors WHERE user_id = :user GROUP BY space",
            {"user": user},
        )
    return {row.space: row.n for row in rows}


def found(answer: Any) -> set[str]:
    return {item["content"] for item in answer["vector_results"]}


async def test_what_was_stored_is_found_by_the_new_model_the_past_included(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, "alice", "bob")
        before = await now(nm)
        await nm.update_memory("alice", (await nm.list_memories("alice"))[0].id, content="Anna lives in Rome")
        await nm.drain()
        done = await nm.reembed(new(), background=False)
        assert (done["state"], done["done"], done["users_left"]) == ("active", done["entries"], 0)
        assert [space["state"] for space in await nm.spaces()] == ["idle", "active"]
        assert await spaces_of_vectors(nm, "alice") == {1: 13, 2: 13}
        assert await spaces_of_vectors(nm, "bob") == {1: 12, 2: 12}
        assert "Anna lives in Rome" in found(await nm.recall("alice", "Anna lives"))
        assert "Anna lives in Paris" in found(await nm.recall("alice", "Anna lives", as_of=before))
    async with opened(database_url, embedding=new()) as nm:
        assert "The train number 3 leaves from platform 23" in found(await nm.recall("bob", "platform 23"))


async def test_until_the_switch_the_old_model_answers_and_what_is_said_is_embedded_for_both(
    database_url: str,
) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, "alice")
        model = Held()
        progress = await nm.reembed(model)
        assert progress["state"] in ("announced", "filling")
        await model.asked.wait()
        await nm.ingest("alice", "user", "The ferry leaves at noon", session_id="s")
        await nm.ingest("carol", "user", "A new user says hello", session_id="s")
        await nm.drain()
        answer = await nm.recall("alice", "When does the ferry leave?")
        assert "The ferry leaves at noon" in found(answer)
        assert answer["pending"] == 0  # the new space is no business of who asks
        under_way = await nm.reembedding()
        assert under_way is not None
        assert under_way["done"] < under_way["entries"]
        model.may.set()
        assert (await nm.reembed(model, background=False))["state"] == "active"
        assert await spaces_of_vectors(nm, "alice") == {1: 13, 2: 13}
        assert await spaces_of_vectors(nm, "carol") == {1: 1, 2: 1}
        await nm.ingest("alice", "user", "The bus leaves at one", session_id="s")
        await nm.drain()
        assert await spaces_of_vectors(nm, "alice") == {1: 13, 2: 14}


async def test_recalls_give_whole_answers_while_it_is_filled_and_switched(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, *(f"user {i}" for i in range(5)))
        expected = {i: found(await nm.recall(f"user {i}", "platform", 50)) for i in range(5)}
        done = asyncio.Event()

        async def ask(i: int) -> None:
            last = False
            while not last:
                last = done.is_set()  # once more after the switch
                assert found(await nm.recall(f"user {i}", "platform", 50)) == expected[i]

        async def talk() -> int:
            said = 0
            while not done.is_set():
                await nm.ingest("talker", "user", f"This is message {said}", session_id="s")
                said += 1
            return said

        async with asyncio.TaskGroup() as group:
            for i in range(5):
                group.create_task(ask(i))
            talking = group.create_task(talk())
            await nm.reembed(new(), background=False)
            done.set()
        await nm.drain()
        assert (await spaces_of_vectors(nm, "talker"))[2] == await talking


async def test_another_process_with_the_old_model_is_told_and_loses_nothing(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm, opened(database_url, worker=False) as other:
        await fill(nm, "alice")
        await nm.reembed(new(), background=False)
        with pytest.raises(
            EmbeddingSpaceError, match=r"re-embedded with neuromem:new \(32 dim.*Open it anew"
        ):
            await other.recall("alice", "Where does Anna live?")
        by_words = await other.recall("alice", "Where does Anna live?", on_arm_error="skip")
        assert by_words["skipped"] == ["vector"]
        assert by_words["merged"][0]["content"] == "Anna lives in Paris"
        await other.ingest("alice", "user", "The ferry leaves at noon", session_id="s")
        await nm.drain()
        assert "The ferry leaves at noon" in found(await nm.recall("alice", "ferry"))


async def test_two_processes_that_have_both_models_follow_each_other(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm, opened(database_url, settings=QUICK) as other:
        await fill(nm, "alice")
        await asyncio.gather(nm.reembed(new(), background=False), other.reembed(new(), background=False))
        for one in (nm, other):
            assert "Anna lives in Paris" in found(await one.recall("alice", "Anna"))
        assert await spaces_of_vectors(nm, "alice") == {1: 12, 2: 12}


async def test_opening_with_the_new_model_while_it_is_filled_says_what_to_do(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, "alice")
        await nm.reembed(Held())
        with pytest.raises(EmbeddingSpaceError, match="neuromem reembed"):
            await NeuroMemory(database_url, new(), "none").init()
        with pytest.raises(
            EmbeddingSpaceError, match=r"being re-embedded with neuromem:new.*drop_space\(2\)"
        ):
            await nm.reembed(HashEmbedding(16, "third"))


async def test_a_text_that_the_new_model_refuses_holds_nobody_up(database_url: str) -> None:
    settings = {"work": {**QUICK["work"], "max_attempts": 1, "retry_delay": 0.01}}
    async with opened(database_url, settings=settings) as nm:
        await fill(nm, "alice")
        model = Held(refuses="platform 23")
        model.may.set()
        done = await nm.reembed(model, background=False)
        assert (done["state"], done["failed"]) == ("active", 1)
        assert "I do not like a text" in done["error"]
        assert await spaces_of_vectors(nm, "alice") == {1: 12, 2: 11}


async def test_one_can_change_back_until_the_old_space_is_dropped(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, "alice")
        await nm.reembed(new(), background=False)
        await nm.ingest("alice", "user", "The ferry leaves at noon", session_id="s")
        await nm.drain()
        old = HashEmbedding()
        await nm.reembed(old, background=False)
        assert sum(map(len, old.calls)) == 1  # what the old space did not have
        assert "The ferry leaves at noon" in found(await nm.recall("alice", "ferry"))
        with pytest.raises(EmbeddingSpaceError, match="is searched by"):
            await nm.drop_space(1)
        assert await nm.drop_space(2) == {"dropped": "neuromem:new (32 dimensions)", "vectors": 13}
        assert [space["state"] for space in await nm.spaces()] == ["active"]
        assert await spaces_of_vectors(nm, "alice") == {1: 13}
        with pytest.raises(NotFoundError, match="no embedding space 2"):
            await nm.drop_space(2)
        with pytest.raises(InputError):
            await nm.drop_space(0)


async def test_filling_can_be_given_up(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, "alice")
        model = Held()
        await nm.reembed(model)
        await model.asked.wait()
        await nm.drop_space(2)
        assert await nm.reembedding() is None
        assert "Anna lives in Paris" in found(await nm.recall("alice", "Anna"))
        assert (await nm.stats("alice"))["queue"] == {}


async def test_a_user_who_is_deleted_meanwhile_leaves_nothing(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, "alice", "bob")
        model = Held()
        await nm.reembed(model)
        await model.asked.wait()
        await nm.delete_user_data("alice")
        model.may.set()
        await nm.reembed(model, background=False)
        assert await nm.verify_deleted("alice") == {"rows": 0, "objects_pending": 0}
        assert await spaces_of_vectors(nm, "bob") == {1: 12, 2: 12}


async def test_a_rollback_meanwhile_is_embedded_for_both(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, "alice")
        moment = await now(nm)
        model = Held()
        await nm.reembed(model)
        await model.asked.wait()
        await nm.delete_memory("alice", (await nm.list_memories("alice"))[0].id)
        await nm.rollback_memories("alice", moment)
        model.may.set()
        await nm.reembed(model, background=False)
        assert await spaces_of_vectors(nm, "alice") == {1: 13, 2: 13}
        assert "Anna lives in Paris" in found(await nm.recall("alice", "Anna"))


class Reporting(HashEmbedding):
    """Tells that it was called, and lets others run before it answers."""

    def __init__(self, report: Report) -> None:
        super().__init__(32, "new")
        self._report = report

    @property
    def provider(self) -> str:
        return "neuromem"

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        self._report("embedding")
        await asyncio.sleep(0)
        return await super().embed_batch(texts)


async def change(report: Report, url: str) -> None:
    """What a process that changes the model does; killed and started anew, it goes on."""
    settings = {"work": {"poll": 0.02, "lease": 1.0, "embed_batch": 5, "concurrency": 2}}
    async with opened(url, settings=settings) as nm:
        report("open")
        await nm.reembed(Reporting(report), background=False)
    report("done")


def test_killed_again_and_again_it_is_whole_in_the_end(database_url: str) -> None:
    async def prepare() -> None:
        async with opened(database_url) as nm:
            for user in ("alice", "bob", "carol"):
                said: list[Any] = [{"role": "user", "content": f"message number {i}"} for i in range(60)]
                await nm.conversations.add_messages_batch(user, said)
            await nm.drain()

    async def whole() -> None:
        async with opened(database_url, embedding=new()) as nm:
            for user in ("alice", "bob", "carol"):
                assert await spaces_of_vectors(nm, user) == {1: 60, 2: 60}
                assert "message number 7" in found(await nm.recall(user, "number 7"))

    asyncio.run(prepare())
    chance = random.Random(7)
    died = set()
    for _ in range(8):
        child = Child(change, database_url)
        for _ in range(chance.randrange(1, 8)):
            if (report := child.next()) == "done":
                break
        died.add(report)
        child.kill()
    assert "embedding" in died
    child = Child(change, database_url)
    reports = child.rest()
    assert reports[-1] == "done"
    asyncio.run(whole())


async def test_an_administrator_waits_as_settings_say(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await fill(nm, "alice")
        await nm.reembed(new(), background=False)
    slept: list[float] = []
    sleep = asyncio.sleep

    async def recorded(seconds: float, result: Any = None) -> Any:
        slept.append(seconds)
        return await sleep(seconds, result)

    monkeypatch.setattr(asyncio, "sleep", recorded)
    settings = Settings.load({"work": {"poll": 0.0625}}, {})
    registry = PluginRegistry.discover(env={})
    async with open_admin(registry, settings, database_url=database_url) as admin:
        async with database.user("alice") as transaction:
            await transaction.run("SELECT pg_current_xact_id()")  # has begun to write
            dropping = asyncio.create_task(admin.drop_space(1))
            while not slept and not dropping.done():
                await sleep(0.01)
        assert (await dropping)["vectors"] == 12
    assert set(slept) == {0.0625}
