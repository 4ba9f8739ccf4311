"""Both storages, each with a NeuroMemory on a database of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from neuromem.plugin.http import Retry
from neuromem_local import FolderStorage
from neuromem_s3 import S3Storage
from tests.conftest import opened
from tests.ingest.documents.state import Place
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from neuromem.memory import NeuroMemory
    from neuromem.plugin import ObjectStorage
    from tests.support.s3_server import S3Server


@pytest.fixture
def folder(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "objects")


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest) -> ObjectStorage:
    if request.param == "folder":
        chosen: FolderStorage = request.getfixturevalue("folder")
        return chosen
    server: S3Server = request.getfixturevalue("s3")
    return S3Storage(
        server.url,
        ACCESS_KEY,
        SECRET_KEY,
        f"bucket-{uuid4().hex}",
        create_bucket=True,
        retry=Retry(attempts=2, backoff=0.05),
    )


@pytest.fixture
async def place(database_url: str, folder: FolderStorage) -> AsyncIterator[Place]:
    """A database and a folder, to look at from outside."""
    async with Place.open(database_url, folder) as place:
        yield place


@pytest.fixture
async def nm(database_url: str, folder: FolderStorage) -> AsyncIterator[NeuroMemory]:
    """An open NeuroMemory that keeps objects in a folder."""
    async with opened(database_url, storage=folder, settings={"work": {"poll": 0.05}}) as memory:
        yield memory
