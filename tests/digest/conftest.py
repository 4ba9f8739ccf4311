"""A model over HTTP, and a NeuroMemory that digests with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import opened
from tests.digest.model import by_word
from tests.ingest.extraction.model import answering, llm
from tests.support.http_server import HttpServer, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from neuromem.memory import NeuroMemory

FAST = {"work": {"retry_delay": 0.01, "poll": 0.02}}


@pytest.fixture
def model() -> Iterator[HttpServer]:
    """The server; it finds words that recur unless a test says otherwise."""
    with running_server() as server:
        server.always = answering(by_word)
        yield server


@pytest.fixture
async def nm(database_url: str, model: HttpServer) -> AsyncIterator[NeuroMemory]:
    """An open NeuroMemory that digests when it is told to, and extracts nothing."""
    async with opened(
        database_url, llm=llm(model), auto_extract=False, reflection_interval=0, settings=FAST
    ) as memory:
        yield memory
