"""The providers that speak HTTP pass the kit that plugin authors are given."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytest

from neuromem.plugin.http import Retry
from neuromem.testing.contracts import (
    EmbeddingContract,
    HttpContract,
    LLMContract,
    PluginContract,
    RerankerContract,
)
from neuromem.testing.http_server import Reply, Request
from neuromem_openai import OpenAIEmbedding, OpenAILLM
from neuromem_siliconflow import SiliconFlowEmbedding
from neuromem_siliconflow.reranker import SiliconFlowReranker

FAST = Retry(attempts=2, backoff=0.001)


def embeddings(request: Request, most: int) -> Reply:
    """Embed each text by its hash, and answer in another order than it was asked; refuse too many at once."""
    texts = request.json["input"]
    if len(texts) > most:
        return Reply({"error": {"message": f"at most {most}"}}, status=422)
    data = [
        {"index": n, "embedding": [b / 255 for b in blake2b(text.encode(), digest_size=16).digest()]}
        for n, text in enumerate(texts)
    ]
    return Reply({"data": data[::-1]})


def judge(question: str, document: str) -> float:
    """Return the share of the question's words in a document."""
    asked = set(question.lower().split())
    return len(asked & set(document.lower().split())) / (len(asked) or 1)


class TestOpenAIEmbedding(HttpContract, EmbeddingContract):
    def connect(self, url: str) -> Any:
        return OpenAIEmbedding(self.secret, base_url=url, dims=16, retry=FAST, env={})

    def answer(self, request: Request) -> Reply:
        return embeddings(request, 2048)


class TestSiliconFlowEmbedding(HttpContract, EmbeddingContract):
    def connect(self, url: str) -> Any:
        return SiliconFlowEmbedding(self.secret, base_url=url, dims=16, retry=FAST, env={})

    def answer(self, request: Request) -> Reply:
        return embeddings(request, 32)


class TestOpenAILLM(HttpContract, LLMContract):
    def connect(self, url: str) -> Any:
        return OpenAILLM(self.secret, base_url=url, retry=FAST, env={})

    def answer(self, request: Request) -> Reply:
        usage = {"prompt_tokens": 12, "completion_tokens": 1}
        message = {"role": "assistant", "content": '{"color": "blue"}'}
        return Reply(
            {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage, "model": "m"}
        )


class TestSiliconFlowReranker(HttpContract, RerankerContract):
    def connect(self, url: str) -> Any:
        return SiliconFlowReranker(self.secret, base_url=url, retry=FAST, env={})

    def answer(self, request: Request) -> Reply:
        """Answer best first, as the vendor does."""
        found = [judge(request.json["query"], document) for document in request.json["documents"]]
        results = [{"index": n, "relevance_score": score} for n, score in enumerate(found)]
        return Reply({"results": sorted(results, key=lambda result: -result["relevance_score"])})


@pytest.mark.parametrize("name", ["neuromem-openai", "neuromem-siliconflow", "neuromem-s3", "neuromem-local"])
class TestPlugins(PluginContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.distribution = name
