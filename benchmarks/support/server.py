"""A PostgreSQL to measure on: an embedded one of its own, or the one that a URL names."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg

from neuromem.store.database.dsn import parse_dsn
from neuromem_local import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


@dataclass(frozen=True, slots=True)
class Place:
    """Where a benchmark keeps its data: a URL and a schema there."""

    url: str
    schema: str

    async def connect(self) -> asyncpg.Connection:
        """Return a connection of the driver's own, for what is measured beside neuromem."""
        return await asyncpg.connect(dsn=parse_dsn(self.url).dsn)


@asynccontextmanager
async def place(
    database_url: str | None, *, home: Path | None = None, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Place]:
    """Open a place that is empty and vanishes afterwards, unless ``home`` says where to keep it."""
    if database_url is not None:
        schema = f"bench_{uuid4().hex[:12]}"
        try:
            yield Place(database_url, schema)
        finally:
            connection = await asyncpg.connect(dsn=parse_dsn(database_url).dsn)
            await connection.execute(f"DROP SCHEMA IF EXISTS {schema}, {schema}_extracted CASCADE")
            await connection.close()
        return
    with tempfile.TemporaryDirectory(prefix="neuromem-bench-") as folder:
        server = EmbeddedPostgres(home or Path(folder) / "home", settings=settings)
        address = await server.open()
        try:
            yield Place(address, "neuromem")
        finally:
            await server.close()
