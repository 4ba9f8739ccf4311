"""Vectors: what a provider may return, and pgvector's binary format with the extension in any schema."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import pytest
from pgvector import HalfVector

from neuromem.errors import DatabaseError, ProviderResponseError
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.schema.migrate import prepare_schema
from neuromem.store.search_index.vectors import EmbeddingSpace, normalized_vector
from neuromem.testing.internals import database_of
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.cluster import Cluster

SPACE = EmbeddingSpace(1, "tests", "model", 3, "", None)
BACK = "SELECT CAST(:vector AS halfvec) AS one, CAST(:many AS halfvec[]) AS many, CAST(:text AS text)::halfvec AS text"


@pytest.fixture
async def moving(cluster: Cluster) -> AsyncIterator[str]:
    """A database whose extension is in a schema with an odd name."""
    await cluster.execute("DROP DATABASE IF EXISTS moving WITH (FORCE)", "CREATE DATABASE moving OWNER app")
    await cluster.execute(
        'CREATE SCHEMA "Odd ""Place"""',
        'CREATE EXTENSION vector SCHEMA "Odd ""Place"""',
        'GRANT USAGE ON SCHEMA "Odd ""Place""" TO app',
        database="moving",
    )
    yield cluster.url("moving", "app")
    await cluster.execute("DROP DATABASE moving WITH (FORCE)")


def test_a_vector_is_normalized_and_a_zero_vector_has_no_direction() -> None:
    assert normalized_vector([0, 3, 4], SPACE, "tests") == HalfVector([0.0, 0.6, 0.8])
    assert normalized_vector([0.0, 0.0, 5e-324], SPACE, "tests") == HalfVector([0.0, 0.0, 1.0])
    assert normalized_vector([0.0, 1e300, 0.0], SPACE, "tests") == HalfVector([0.0, 1.0, 0.0])
    assert normalized_vector([0.0, 0.0, 0.0], SPACE, "tests") is None


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        ([1.0, 0.0], "a vector of 2 numbers where the space .* has 3"),
        ([], "a vector of 0 numbers"),
        ([1.0, 0.0, 0.0, 0.0], "a vector of 4 numbers"),
        ([1.0, math.nan, 0.0], "finite numbers"),
        ([1.0, math.inf, 0.0], "finite numbers"),
        ([1.0, math.inf, math.nan], "finite numbers"),
        (["1", 0.0, 0.0], "not made of numbers"),
        ([None, 0.0, 0.0], "not made of numbers"),
        ([[1.0], 0.0, 0.0], "not made of numbers"),
    ],
)
def test_what_is_no_vector_of_the_space_is_the_providers_error(vector: Any, words: str) -> None:
    with pytest.raises(ProviderResponseError, match=words):
        normalized_vector(vector, SPACE, "tests")


@pytest.mark.parametrize("dims", [1, 384, 4000])
async def test_vectors_come_back_as_they_were_sent_and_as_text_would_be_read(
    database: Database, dims: int
) -> None:
    await prepare_schema(database, migrate=False)
    chance = random.Random(dims)
    sent = [HalfVector([chance.uniform(-1, 1) for _ in range(dims)]) for _ in range(3)]
    async with database.user("alice") as transaction:
        row = await transaction.first(BACK, {"vector": sent[0], "many": sent, "text": sent[0].to_text()})
    assert row is not None
    assert row.one == row.text == sent[0]
    assert row.many == sent


async def test_connections_made_before_the_extension_was_looked_for_are_not_used_for_vectors(
    moving: str,
) -> None:
    database = Database(parse_dsn(moving), pool_size=2)
    async with database.worker() as transaction:
        assert await transaction.value("SELECT 1") == 1
    await prepare_schema(database, migrate=True)
    sent = HalfVector([0.5, 0.25])
    async with database.user("alice") as transaction:
        assert await transaction.value("SELECT CAST(:vector AS halfvec)", {"vector": sent}) == sent
    await database.close()


async def test_an_extension_that_moves_meanwhile_is_named(cluster: Cluster, moving: str) -> None:
    async with opened(moving, worker=False) as nm:
        await cluster.execute("ALTER EXTENSION vector SET SCHEMA public", database="moving")
        database_of(nm).pool.drop_idle()
        with pytest.raises(
            DatabaseError, match=r"halfvec .* not in schema .* any more.*Open the NeuroMemory anew"
        ):
            await nm.ingest("alice", "user", "tea")
    async with opened(moving) as nm:
        await nm.ingest("alice", "user", "tea")
        await nm.drain()
        assert (await nm.recall("alice", "tea"))["vector_results"]
