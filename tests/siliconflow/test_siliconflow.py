"""SiliconFlow's providers against a real HTTP server."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from neuromem.domain.query import Query
from neuromem.domain.recall_result import RetrievedItem
from neuromem.errors import AuthenticationError, ConfigurationError, ProviderResponseError, RateLimitError
from neuromem.plugin import Context
from neuromem.plugin.http import HttpStatusError, Retry
from neuromem_siliconflow import SiliconFlowEmbedding, SiliconFlowReranker, plugin
from tests.support.http_server import HttpServer, Reply, Request

FAST = Retry(attempts=2, backoff=0.001)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUESTION = Query(user_id="alice", text="Where does Alice work?", now=NOW)


def hits(*contents: str) -> list[RetrievedItem]:
    return [
        RetrievedItem(
            id=str(number),
            kind="memory",
            score=0.5,
            relevance=0.5,
            ranks={},
            content=content,
            memory_type="fact",
            created_at=NOW,
            occurred_at=None,
            metadata={},
            sources=(),
        )
        for number, content in enumerate(contents)
    ]


def embed(request: Request) -> Reply:
    texts = request.json["input"]
    return Reply({"data": [{"index": n, "embedding": [float(len(t)), 1.0]} for n, t in enumerate(texts)]})


def judge(request: Request) -> Reply:
    """Judge a document by its length, best first, as SiliconFlow answers."""
    scores = [(len(text) / 100, index) for index, text in enumerate(request.json["documents"])]
    results = [{"index": index, "relevance_score": score} for score, index in sorted(scores, reverse=True)]
    return Reply({"id": "r1", "results": results, "meta": {"tokens": {"input_tokens": 3}}})


async def test_embeds_in_batches_of_32(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SILICONFLOW_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("SILICONFLOW_API_KEY", "sk-flow")
    server.always = embed
    provider = SiliconFlowEmbedding(dims=2, retry=FAST)
    texts = ["字" * n for n in range(1, 71)]
    assert await provider.embed_batch(texts) == [[float(len(text)), 1.0] for text in texts]
    await provider.close()
    assert [len(request.json["input"]) for request in server.requests] == [32, 32, 6]
    request = server.requests[0]
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == "Bearer sk-flow"
    assert request.json["model"] == "BAAI/bge-m3"
    assert "dimensions" not in request.json
    assert (provider.provider, provider.model, provider.dims) == ("siliconflow", "BAAI/bge-m3", 2)


async def test_qwen_is_asked_for_its_dimensions(server: HttpServer) -> None:
    server.always = embed
    provider = SiliconFlowEmbedding("sk", "Qwen/Qwen3-Embedding-0.6B", server.url, 2, retry=FAST)
    await provider.embed("x")
    await provider.close()
    assert server.requests[0].json["dimensions"] == 2


async def test_a_text_over_the_models_limit_is_cut(server: HttpServer) -> None:
    def limited(request: Request) -> Reply:
        if any(len(text) > 512 for text in request.json["input"]):
            return Reply(
                {"code": 20042, "message": "input must have less than 512 tokens", "data": None}, status=413
            )
        return embed(request)

    server.always = limited
    provider = SiliconFlowEmbedding("sk", "BAAI/bge-large-zh-v1.5", server.url, 2, retry=FAST)
    assert await provider.embed_batch(["字" * 800, "短"]) == [[400.0, 1.0], [1.0, 1.0]]
    await provider.close()


async def test_vendors_errors_keep_their_words(server: HttpServer) -> None:
    provider = SiliconFlowEmbedding("sk-flow", base_url=server.url, retry=FAST)
    server.script(Reply("Invalid token", status=401))
    with pytest.raises(AuthenticationError, match=r"Invalid token.*SILICONFLOW_API_KEY"):
        await provider.embed("x")
    server.script(Reply({"code": 20012, "message": "Model does not exist."}, status=400))
    with pytest.raises(HttpStatusError, match="Model does not exist"):
        await provider.embed("x")
    server.always = Reply({"message": "Request was rejected due to rate limiting.", "data": None}, status=429)
    with pytest.raises(RateLimitError, match="rate limiting"):
        await provider.embed("x")
    await provider.close()
    assert "sk-flow" not in f"{provider!r} {vars(provider)}"


def test_a_missing_key_names_its_variable() -> None:
    for build in (SiliconFlowEmbedding, SiliconFlowReranker):
        with pytest.raises(AuthenticationError, match="SILICONFLOW_API_KEY"):
            build()


async def test_rerank_judges_every_hit_in_its_place(server: HttpServer) -> None:
    server.always = judge
    reranker = SiliconFlowReranker("sk", base_url=server.url, retry=FAST)
    contents = ["x" * 30, "x" * 10, "x" * 20, "x" * 500]
    assert await reranker.rerank(QUESTION, hits(*contents)) == [0.3, 0.1, 0.2, 1.0]
    assert server.requests[0].path == "/rerank"
    assert server.requests[0].json == {
        "model": "BAAI/bge-reranker-v2-m3",
        "query": "Where does Alice work?",
        "documents": contents,
        "top_n": 4,
        "return_documents": False,
    }
    many = [f"{'x' * (n % 90)}" for n in range(150)]
    assert await reranker.rerank(QUESTION, hits(*many)) == [len(text) / 100 for text in many]
    assert await reranker.rerank(QUESTION, []) == []
    await reranker.close()
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"results": None},
        {"results": ["x", "y"]},
        {"results": [{"index": 0, "relevance_score": 0.5}]},
        {"results": [{"index": 0, "relevance_score": 0.5}] * 2},
        {"results": [{"index": 0, "relevance_score": 0.5}, {"index": 9, "relevance_score": 0.5}]},
        {"results": [{"index": 0, "relevance_score": "high"}, {"index": 1, "relevance_score": 0.5}]},
        {"results": [{"index": 0, "relevance_score": float("nan")}, {"index": 1, "relevance_score": 0.5}]},
    ],
)
async def test_wrong_judgments_are_refused(server: HttpServer, body: object) -> None:
    server.script(Reply(body))
    reranker = SiliconFlowReranker("sk", base_url=server.url, retry=FAST)
    with pytest.raises(ProviderResponseError, match="reranking"):
        await reranker.rerank(QUESTION, hits("a", "b"))
    await reranker.close()


def test_providers_are_built_from_name_options_and_environment() -> None:
    (embedding,) = plugin.neuromem_embeddings()
    (reranker,) = plugin.neuromem_rerankers()
    assert (embedding.name, reranker.name) == ("siliconflow", "siliconflow")
    assert not embedding.default
    assert not reranker.default  # it would send what was found over the network
    context = Context(model="BAAI/bge-large-zh-v1.5", options={"dims": 512}, env={"SILICONFLOW_API_KEY": "k"})
    built = embedding.factory(context)
    assert (built.model, built.dims) == ("BAAI/bge-large-zh-v1.5", 512)
    shared = Context(options={"dims": 512, "api_key": "k"}, env={})  # one set of options for both
    assert isinstance(reranker.factory(shared), SiliconFlowReranker)
    with pytest.raises(ConfigurationError, match="'key'"):
        reranker.factory(Context(options={"key": "k"}, env={}))


def test_the_hooks_load_nothing_heavy() -> None:
    code = (
        "import sys, neuromem_siliconflow.plugin as p; p.neuromem_rerankers(); p.neuromem_embeddings(); "
        "print('httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
