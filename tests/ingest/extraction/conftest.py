"""A model over HTTP, and a NeuroMemory that extracts with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import opened
from tests.ingest.extraction.model import answering, echo, llm
from tests.support.http_server import HttpServer, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from neuromem.memory import NeuroMemory

FAST = {"work": {"retry_delay": 0.01, "poll": 0.05}}


@pytest.fixture
def model() -> Iterator[HttpServer]:
    """The server; it makes a fact of every turn unless a test says otherwise."""
    with running_server() as server:
        server.always = answering(echo)
        yield server


@pytest.fixture
async def nm(database_url: str, model: HttpServer) -> AsyncIterator[NeuroMemory]:
    """An open NeuroMemory that extracts, graph included."""
    async with opened(database_url, llm=llm(model), graph_enabled=True, settings=FAST) as memory:
        yield memory
