"""What every implementation of a hook must do, as tests to inherit.

::

    class TestAcmeEmbedding(EmbeddingContract):
        @pytest.fixture
        def embedding(self) -> AcmeEmbedding:
            return AcmeEmbedding()

Override the one fixture that the contract names; what speaks HTTP inherits `HttpContract` beside it. The tests are
plain functions with event loops of their own, so they run under any plugin for asyncio, or none.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{room}"
        for room in ("base", "database", "http", "plugin", "providers", "recall", "stages")
    )
)

from neuromem.testing.contracts.base import Contract  # noqa: E402 - asserts are rewritten first
from neuromem.testing.contracts.database import DatabaseContract  # noqa: E402
from neuromem.testing.contracts.http import HttpContract  # noqa: E402
from neuromem.testing.contracts.plugin import PluginContract  # noqa: E402
from neuromem.testing.contracts.providers import EmbeddingContract, LLMContract, StorageContract  # noqa: E402
from neuromem.testing.contracts.recall import RetrieverContract  # noqa: E402
from neuromem.testing.contracts.stages import (  # noqa: E402
    ExtractorContract,
    FusionContract,
    ObserverContract,
    RerankerContract,
    ScorerContract,
)

__all__ = [
    "Contract",
    "DatabaseContract",
    "EmbeddingContract",
    "ExtractorContract",
    "FusionContract",
    "HttpContract",
    "LLMContract",
    "ObserverContract",
    "PluginContract",
    "RerankerContract",
    "RetrieverContract",
    "ScorerContract",
    "StorageContract",
]
