"""A bucket for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from neuromem.plugin.http import Retry
from neuromem_s3 import S3Storage
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.s3_server import S3Server


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
