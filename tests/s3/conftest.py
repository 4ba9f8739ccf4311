"""One S3 server for all tests of a process, and a bucket for each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from neuromem.plugin.http import Retry
from neuromem_s3 import S3Storage
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def bucket() -> str:
    return f"bucket-{uuid4().hex}"


@pytest.fixture
async def storage(s3: S3Server, bucket: str) -> AsyncIterator[S3Storage]:
    opened = S3Storage(
        s3.url, ACCESS_KEY, SECRET_KEY, bucket, create_bucket=True, retry=Retry(attempts=2, backoff=0.05)
    )
    yield opened
    await opened.close()
