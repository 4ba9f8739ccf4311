"""A server that answers like SiliconFlow, and an environment without the developer's own keys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.http_server import HttpServer, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with running_server() as running:
        yield running
