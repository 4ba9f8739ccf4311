"""The past stays what it was: after random changes, every moment answers as it did then."""

from __future__ import annotations

import asyncio
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuromem.errors import ConflictError
from neuromem.store.database.users import begin_write
from neuromem.store.memories.versions import end_memories
from neuromem.testing.internals import database_of
from tests.conftest import opened
from tests.digest.model import by_word
from tests.ingest.extraction.model import answering, llm
from tests.support.http_server import running_server
from tests.support.user_data import now, relate, state, supersede

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from neuromem.memory import NeuroMemory

QUICK = {"work": {"retry_delay": 0.01, "poll": 0.02}}
TEXTS = st.integers(0, 5).map(lambda n: f"Lives in city{n}")
PLACES = st.integers(0, 2).map(lambda n: f"City{n}")
WHICH = st.integers(0, 20)
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)

CHANGES = st.one_of(
    st.tuples(st.just("add"), TEXTS),
    st.tuples(st.just("supersede"), TEXTS),
    st.tuples(st.just("update"), WHICH, TEXTS),
    st.tuples(st.just("metadata"), WHICH, st.integers(0, 3)),
    st.tuples(st.just("pin"), WHICH, st.booleans()),
    st.tuples(st.just("delete"), WHICH),
    st.tuples(st.just("restore"), WHICH),
    st.tuples(st.just("rollback"), WHICH),
    st.tuples(st.just("relate"), PLACES),
    st.tuples(st.just("properties"), PLACES, st.integers(0, 3)),
    st.tuples(st.just("profile"), st.sampled_from(["occupation", "identity"]), st.integers(0, 3)),
    st.tuples(st.just("unprofile"), st.sampled_from(["occupation", "identity"])),
)
FILES = st.integers(0, 1).map(lambda n: f"file{n}")
MORE_CHANGES = st.one_of(
    CHANGES,
    st.tuples(st.just("digest"), st.just(None)),
    st.tuples(st.just("upload"), FILES),
    st.tuples(st.just("remove"), FILES),
)


@pytest.fixture
async def thinking(database_url: str) -> AsyncIterator[NeuroMemory]:
    """A NeuroMemory that digests when it is told to; its model finds words that recur."""
    with running_server() as server:
        server.always = answering(by_word)
        async with opened(
            database_url, llm=llm(server), auto_extract=False, reflection_interval=0, settings=QUICK
        ) as memory:
            yield memory


async def change(
    nm: NeuroMemory, user: str, step: tuple[Any, ...], known: list[str], past: list[datetime]
) -> None:
    """Make one change; one that is refused changes nothing."""
    kind, *given = step
    chosen = known[given[0] % len(known)] if known and isinstance(given[0], int) else str(uuid4())
    try:
        if kind == "add":
            known.append((await nm.add_memory(user, given[0])).id)
        elif kind == "supersede":
            await supersede(nm, user, given[0])
            known += [m.id for m in await nm.list_memories(user, "fact") if m.id not in known]
        elif kind == "update":
            await nm.update_memory(user, chosen, given[1])
        elif kind == "metadata":
            await nm.update_memory(user, chosen, metadata={"n": given[1]}, importance=1 + given[1])
        elif kind == "pin":
            await nm.pin(user, chosen, given[1])
        elif kind == "delete":
            await nm.delete_memory(user, chosen)
        elif kind == "restore":
            await nm.restore_memory(user, chosen)
        elif kind == "rollback":
            await nm.rollback_memories(user, past[given[0] % len(past)])
        elif kind == "relate":
            await relate(nm, user, "LIVES_IN", "LOCATION", given[0])
        elif kind == "properties":
            await nm.graph.update_node(user, "LOCATION", given[0], {"n": given[1]})
        elif kind == "profile":
            await nm.kv.set(user, "profile", given[0], given[1])
        elif kind == "unprofile":
            await nm.kv.delete(user, "profile", given[0])
        elif kind == "digest":
            await nm.digest(user)
        elif kind == "upload":
            await nm.files.create_from_text(user, given[0], f"{given[0]} says who lives in city1 and city2")
        else:
            for document in await nm.files.list(user):
                if document.filename == given[0]:
                    await nm.files.delete(user, document.id)
    except (LookupError, ConflictError):
        return


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(MORE_CHANGES, min_size=6, max_size=14))
async def test_every_past_moment_answers_as_it_did_then(
    thinking: NeuroMemory, steps: list[tuple[Any, ...]]
) -> None:
    nm = thinking
    user = f"user-{uuid4()}"
    known: list[str] = []
    past: list[datetime] = [await now(nm)]
    snapshots = [await snapshot(nm, user)]
    for step in steps:
        await change(nm, user, step, known, past)
        if step[0] == "rollback":
            assert (await state(nm, user)) == (await state(nm, user, past[step[1] % len(past)]))
        past.append(await now(nm))
        snapshots.append(await snapshot(nm, user))
    for moment, then in zip(past, snapshots, strict=True):
        assert await snapshot(nm, user, moment) == then


async def snapshot(nm: NeuroMemory, user: str, as_of: datetime | None = None) -> dict[str, Any]:
    """All that is known, to the last field, and what recall finds of it."""
    versions = await nm.list_memories(user, limit=1_000, as_of=as_of)
    asked = "Lives in city0 city1 city2 city3 city4 city5"
    found = await nm.recall(user, asked, limit=100, as_of=as_of)
    files = await nm.recall(user, asked, limit=100, as_of=as_of, memory_type="document")
    emotion = await nm.emotion_profile(user, as_of=as_of)
    return {
        **await state(nm, user, as_of),
        "versions": [
            (
                m.id,
                m.version,
                m.content,
                m.memory_type,
                m.metadata,
                m.importance,
                m.created_at,
                m.pinned,
                m.sources,
                m.origin,
                m.subject,
                m.category,
            )
            for m in versions
        ],
        # of two memories that say the same, recall shows the one with the better score
        "recalled": {item["content"] for item in found["merged"]},
        "documents": {(item["id"], item["content"]) for item in files["merged"]},
        "insights": {insight["id"]: insight for insight in await nm.insights(user, as_of=as_of)},
        "emotion": emotion,
        "user_profile": found["user_profile"],
    }


async def test_writers_at_once_never_share_a_moment_and_each_moment_is_whole(nm: NeuroMemory) -> None:
    first = await nm.add_memory("alice", "Version 0")

    async def write(n: int) -> None:
        await nm.update_memory("alice", first.id, f"Version {n}")
        await nm.kv.set("alice", "profile", "identity", n)

    await asyncio.gather(*(write(n) for n in range(1, 13)))
    history = await nm.memory_history("alice", first.id)
    moments = [version.created_at for version in history]
    assert moments == sorted(set(moments))
    assert [v.superseded_at for v in history[:-1]] == moments[1:]
    for version in history:
        assert [m.version for m in await nm.list_memories("alice", as_of=version.created_at)] == [
            version.version
        ]


async def test_a_moment_waits_for_who_began_to_write_before_it(nm: NeuroMemory) -> None:
    """Otherwise the same question about the same moment would have two answers."""
    await nm.add_memory("alice", "Likes tea")
    database = database_of(nm)
    async with database.user("alice") as writer:
        begun = await begin_write(writer, "alice")
        moment = await now(nm)  # later than what is being written, and before it is committed
        asked = asyncio.create_task(nm.list_memories("alice", as_of=moment))
        recalled = asyncio.create_task(nm.recall("alice", "tea", as_of=moment))
        waiting = 0
        while waiting < 2:
            # A transaction of its own each time: one sees only who was connected when it first looked.
            async with database.worker() as watcher:
                waiting = await watcher.value(WAITING)
        ids = [memory.id for memory in await nm.list_memories("alice", as_of=begun.now - timedelta(hours=1))]
        assert ids == []  # nobody waits for long ago
        current = [memory.id for memory in await nm.list_memories("alice")]
        await end_memories(writer, "alice", current, begun.now, "deleted")
    assert (await asked, (await recalled)["merged"]) == ([], [])
    assert await nm.list_memories("alice", as_of=moment) == []


async def test_a_clock_that_goes_back_does_not_reorder_what_happened(nm: NeuroMemory) -> None:
    memory = await nm.add_memory("alice", "Version 0")
    async with database_of(nm).user("alice") as transaction:  # as if the clock had been an hour ahead
        await transaction.run("UPDATE {s}.users SET last_tx = last_tx + interval '1 hour'")
    for n in range(1, 4):
        await nm.update_memory("alice", memory.id, f"Version {n}")
    history = await nm.memory_history("alice", memory.id)
    moments = [version.created_at for version in history]
    assert moments == sorted(set(moments))
    for version in history:
        (then,) = await nm.list_memories("alice", as_of=version.created_at)
        assert then.content == version.content
        elsewhere = version.created_at.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
        assert await nm.list_memories("alice", as_of=elsewhere) == [then]
