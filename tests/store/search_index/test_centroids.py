"""Centroids: when they are stored, and that an answer is the same with a stored one and without."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import numpy as np
import pytest

from benchmarks.support.statements import Statements
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.search_index.centroids import CENTROID_SAMPLE
from neuromem.testing import HashEmbedding
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from neuromem.domain.messages import MessageDict
    from neuromem.memory import NeuroMemory

QUICK = {"work": {"poll": 0.02}}
SELECT_STORED = "SELECT entries, n, v::vector::float4[] AS v FROM neuromem.centroids WHERE space = $1"
VECTORS = "SELECT entry, v::vector::float4[] AS v FROM neuromem.vectors WHERE space = $1 ORDER BY entry"  # as embedded


@asynccontextmanager
async def connected(address: str, user: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(parse_dsn(address).dsn)
    try:
        await connection.execute("SELECT set_config('neuromem.user_id', $1, false)", user)
        yield connection
    finally:
        await connection.close()


async def say(nm: NeuroMemory, user: str, n: int, *, first: int = 0, session: str = "s") -> None:
    """Give a user so many messages about different things."""
    said: list[MessageDict] = [
        {"role": "user", "content": f"On day {first + i} we saw {random.Random(first + i).choice(THINGS)}"}
        for i in range(n)
    ]
    await nm.conversations.add_messages_batch(user, said, session)
    await nm.drain(user)


THINGS = ("a heron", "two foxes", "the old bridge", "snow on the hills", "a red boat", "nobody at all")


async def both(address: str, user: str, space: int = 1) -> tuple[Any, list[float], int]:
    """Return what is stored, the mean of the sample of the vectors at that time, and the number of the last vector."""
    async with connected(address, user) as connection:
        stored = await connection.fetchrow(SELECT_STORED, space)
        rows = {row["entry"]: row["v"] for row in await connection.fetch(VECTORS, space)}
    last = max(rows, default=0)
    upto = min(last, stored["entries"]) if stored else last
    sample = {1 + i * (upto - 1) // CENTROID_SAMPLE for i in range(CENTROID_SAMPLE + 1)}
    taken = [rows[entry] for entry in sorted(sample & rows.keys())]
    return stored, np.mean(taken, axis=0).tolist() if taken else [], last


async def answer(nm: NeuroMemory, user: str) -> dict[str, tuple[float, float]]:
    found = await nm.recall(user, "Where was the heron?", limit=20)
    return {item["content"]: (item["score"], item["relevance"]) for item in found["merged"]}


def same(one: dict[str, tuple[float, float]], other: dict[str, tuple[float, float]]) -> bool:
    return list(one) == list(other) and all(one[key] == pytest.approx(other[key]) for key in one)


async def test_the_stored_centroid_is_the_mean_of_the_present_vectors(database_url: str) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        chance = random.Random(5)
        said = 0
        for i in range(6):
            n = chance.randrange(20, 60)
            await say(nm, "anna", n, first=said, session=f"s{i}")
            said += n
            memory = await nm.add_memory("anna", f"Anna is {i} years old")
            await nm.update_memory("anna", memory.id, content=f"Anna is {i} years old now")
            if i % 2:
                await nm.delete_memory("anna", memory.id, erase=True)
            await nm.drain()
            stored, mean, last = await both(database_url, "anna")
            assert (stored is not None) == (last >= CENTROID_SAMPLE)
            if stored is not None:
                assert last <= stored["entries"] * 1.25
                assert stored["v"] == pytest.approx(mean, abs=1e-3)
        await nm.conversations.delete_session("anna", "s0")
        stored, mean, last = await both(database_url, "anna")
        assert stored["v"] == pytest.approx(mean, abs=1e-3)
        for i in range(1, 6):
            await nm.conversations.delete_session("anna", f"s{i}")
        stored, mean, _ = await both(database_url, "anna")
        assert stored is None or stored["v"] == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize("n", [1, 30, 130])
async def test_an_answer_is_the_same_with_and_without_a_stored_centroid(database_url: str, n: int) -> None:
    async with opened(database_url) as nm:
        await say(nm, "anna", n)
        found = await answer(nm, "anna")
        async with connected(database_url, "anna") as connection:
            stored = await connection.fetchval("DELETE FROM neuromem.centroids RETURNING n")
        assert (stored is not None) == (n >= CENTROID_SAMPLE)
        assert same(await answer(nm, "anna"), found)


async def test_the_first_question_of_a_process_asks_for_the_user_and_then_like_any_other(
    database_url: str,
) -> None:
    async with opened(database_url) as nm:
        await say(nm, "anna", 130)
    async with opened(database_url, worker=False) as nm:
        sent = Statements(nm)
        await answer(nm, "anna")
        assert sent.statements == 3
        sent.reset()
        await answer(nm, "anna")
        assert sent.statements == 2


async def test_a_question_of_a_user_who_has_outgrown_the_centroid_computes_it(database_url: str) -> None:
    async with opened(database_url) as nm:
        await say(nm, "anna", 130)
        found = await answer(nm, "anna")
        async with connected(database_url, "anna") as connection:
            await connection.execute("UPDATE neuromem.centroids SET entries = 105, n = 1")
            assert not same(await answer(nm, "anna"), found)
            await connection.execute("UPDATE neuromem.centroids SET entries = 100")
        assert same(await answer(nm, "anna"), found)


async def test_a_centroid_is_deleted_with_its_user_and_space_and_stored_by_an_import(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, settings=QUICK) as nm:
        await say(nm, "anna", 130)
        data = await nm.export_user_data("anna")
        await nm.import_user_data("berta", data)
        (ours, _, _), (theirs, _, _) = [await both(database_url, user) for user in ("anna", "berta")]
        assert (theirs["n"], theirs["v"]) == (ours["n"], ours["v"])

        await nm.reembed(HashEmbedding(32, "new"), background=False)
        stored, mean, _ = await both(database_url, "anna", 2)
        assert stored["v"] == pytest.approx(mean, abs=1e-3)
        await nm.drop_space(1)
        assert (await both(database_url, "anna", 1))[0] is None
        await nm.delete_user_data("anna")
        assert (await nm.verify_deleted("anna"))["rows"] == 0
        assert (await both(database_url, "anna", 2))[0] is None
        assert (await both(database_url, "berta", 2))[0] is not None
