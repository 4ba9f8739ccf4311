"""What works without a network passes the kit that plugin authors are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neuromem.plugin.http import Retry
from neuromem.testing import HashEmbedding, MemoryStorage, ScriptedLLM
from neuromem.testing.contracts import (
    DatabaseContract,
    EmbeddingContract,
    ExtractorContract,
    LLMContract,
    StorageContract,
)
from neuromem_local import FolderStorage, LightEmbedding, LocalEmbedding
from neuromem_local.rules import RulesExtractor
from neuromem_local.server import EmbeddedPostgres
from neuromem_s3 import S3Storage
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from neuromem.plugin import DatabaseProvider, EmbeddingProvider, Extractor, LLMProvider, ObjectStorage
    from tests.conftest import Server
    from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def local() -> EmbeddingProvider:
    return LocalEmbedding()  # a second to load


class TestHashEmbedding(EmbeddingContract):
    @pytest.fixture
    def embedding(self) -> EmbeddingProvider:
        return HashEmbedding()


class TestLightEmbedding(EmbeddingContract):
    @pytest.fixture
    def embedding(self) -> EmbeddingProvider:
        return LightEmbedding()


class TestLocalEmbedding(EmbeddingContract):
    many = 12  # 40 ms of CPU each

    @pytest.fixture
    def embedding(self, local: EmbeddingProvider) -> EmbeddingProvider:
        return local


class TestScriptedLLM(LLMContract):
    @pytest.fixture
    def llm(self) -> LLMProvider:
        return ScriptedLLM(always="Blue")


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    def storage(self) -> ObjectStorage:
        return MemoryStorage()


class TestFolderStorage(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> ObjectStorage:
        return FolderStorage(tmp_path)


class TestS3Storage(StorageContract):
    secret = SECRET_KEY

    @pytest.fixture
    def storage(self, s3: S3Server) -> ObjectStorage:
        retry = Retry(attempts=2, backoff=0.05)
        return S3Storage(s3.url, ACCESS_KEY, SECRET_KEY, "kit", create_bucket=True, retry=retry, env={})


class TestRules(ExtractorContract):
    @pytest.fixture
    def extractor(self) -> Extractor:
        return RulesExtractor()


class TestEmbeddedPostgres(DatabaseContract):
    @pytest.fixture
    def provider(self, server: Server) -> DatabaseProvider:
        return EmbeddedPostgres(server.postgres.home)  # the one that runs already: what is opened is shared
