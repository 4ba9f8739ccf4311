"""OpenAIEmbedding against a real HTTP server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.errors import AuthenticationError, ProviderResponseError, ProviderUnavailableError
from neuromem.plugin.http import HttpStatusError, Retry
from neuromem_openai import OpenAIEmbedding
from tests.support.http_server import HttpServer, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable

FAST = Retry(attempts=2, backoff=0.001)


def vector_of(text: str, dims: int = 4) -> list[float]:
    return [float(len(text)), *(0.25 for _ in range(dims - 1))]


def answer(request: Request) -> Reply:
    """Embed like OpenAI, in a shuffled order."""
    texts = request.json["input"]
    data = [{"object": "embedding", "index": n, "embedding": vector_of(text)} for n, text in enumerate(texts)]
    return Reply({"object": "list", "data": data[::-1], "usage": {"prompt_tokens": 3}})


def embedding(server: HttpServer, **options: Any) -> OpenAIEmbedding:
    return OpenAIEmbedding("sk-test", base_url=server.url, **{"dims": 4, "retry": FAST, **options})


async def test_vectors_come_in_the_order_of_the_texts(server: HttpServer) -> None:
    server.always = answer
    texts = ["a" * n for n in range(1, 8)]
    async_embedding = embedding(server)
    assert await async_embedding.embed_batch(texts) == [vector_of(text) for text in texts]
    assert await async_embedding.embed("four") == vector_of("four")
    assert await async_embedding.embed_query("five!") == vector_of("five!")
    await async_embedding.close()
    assert server.requests[0].path == "/embeddings"
    assert server.requests[0].json == {
        "model": "text-embedding-3-small",
        "input": texts,
        "encoding_format": "float",
        "dimensions": 4,
    }


async def test_no_texts_need_no_call(server: HttpServer) -> None:
    assert await embedding(server).embed_batch([]) == []
    assert server.requests == []


async def test_batches_stay_within_the_limits(server: HttpServer) -> None:
    server.always = answer
    provider = embedding(server, max_inputs=3)
    texts = ["x"] * 7 + ["long" * 60_000, "long" * 60_000, "y"]
    assert await provider.embed_batch(texts) == [vector_of(text) for text in texts]
    await provider.close()
    assert [len(request.json["input"]) for request in server.requests] == [3, 3, 2, 2]
    assert all(len(request.body) < 500_000 for request in server.requests)


@pytest.mark.parametrize(
    ("model", "dims", "sent"),
    [
        ("text-embedding-3-small", 1536, False),
        ("text-embedding-3-small", 512, True),
        ("text-embedding-3-large", 1536, True),
        ("text-embedding-3-large", 3072, False),
        ("text-embedding-ada-002", 1536, False),
        ("nomic-embed-text", 768, False),
    ],
)
async def test_dimensions_are_sent_to_models_that_know_them(
    server: HttpServer, model: str, dims: int, *, sent: bool
) -> None:
    server.always = lambda request: Reply({"data": [{"index": 0, "embedding": [0.5] * dims}]})
    provider = embedding(server, model=model, dims=dims)
    assert len(await provider.embed("x")) == dims
    await provider.close()
    assert server.requests[0].json.get("dimensions") == (dims if sent else None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([{"index": 0, "embedding": [1, 2, 3]}, {"index": 1, "embedding": [1, 2, 3]}], "dims=3 would fit"),
        ([{"index": 0, "embedding": [1, 2, 3, 4]}], "2 embeddings were asked for and 1 came back"),
        ([{"index": 0, "embedding": [1, 2, 3, 4]}] * 2, "index"),
        ([{"index": 7, "embedding": [1, 2, 3, 4]}] * 2, "index"),
        (["x", "y"], "not an object"),
        ([{"index": 0, "embedding": "AAAA"}, {"index": 1}], "not a list of numbers"),
        ([{"index": 0, "embedding": [1, None, 3, 4]}] * 2, "not a list of numbers"),
        ([{"index": 0, "embedding": [1, float("nan"), 3, 4]}] * 2, "not finite"),
        (None, "no list 'data'"),
    ],
)
async def test_wrong_answers_are_refused(server: HttpServer, data: object, words: str) -> None:
    server.script(Reply({"data": data}))
    provider = embedding(server)
    with pytest.raises(ProviderResponseError, match=words) as caught:
        await provider.embed_batch(["a", "b"])
    await provider.close()
    assert caught.value.provider == "openai"


def limited(limit: int) -> Callable[[Request], Reply]:
    def reply(request: Request) -> Reply:
        if any(len(text) > limit for text in request.json["input"]):
            message = "This model's maximum context length is 8192 tokens, however you requested 9000 tokens"
            return Reply({"error": {"message": message}}, status=400)
        return answer(request)

    return reply


async def test_one_long_text_does_not_spoil_its_batch(
    server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.always = limited(300)
    provider = embedding(server)
    with caplog.at_level(logging.WARNING, "neuromem.http"):
        vectors = await provider.embed_batch(["a", "bb", "c" * 1000, "dd"])
    await provider.close()
    assert vectors == [vector_of("a"), vector_of("bb"), vector_of("c" * 250), vector_of("dd")]
    assert "no text of 1000 characters" in caplog.text
    assert "ccc" not in caplog.text


async def test_a_server_that_takes_fewer_texts_gets_fewer(server: HttpServer) -> None:
    def small(request: Request) -> Reply:
        if len(request.json["input"]) > 10:
            message = "batch size is invalid, it should not be larger than 10."
            return Reply({"error": {"message": message}}, status=400)
        return answer(request)

    server.always = small
    provider = embedding(server)
    texts = ["x" * n for n in range(1, 31)]
    assert await provider.embed_batch(texts) == [vector_of(text) for text in texts]
    await provider.close()


async def test_a_refusal_for_another_reason_is_raised_at_once(server: HttpServer) -> None:
    server.always = Reply({"error": {"message": "The model `x` does not exist"}}, status=404)
    provider = embedding(server, model="x")
    with pytest.raises(HttpStatusError, match="does not exist"):
        await provider.embed_batch(["a", "b"])
    await provider.close()
    assert len(server.requests) == 1


async def test_a_limit_that_no_text_meets_ends(server: HttpServer) -> None:
    server.always = limited(0)
    provider = embedding(server)
    with pytest.raises(HttpStatusError, match="maximum context length"):
        await provider.embed("x" * 1000)
    await provider.close()
    assert len(server.requests) < 10


async def test_an_outage_is_unavailable_and_over_when_it_is_over(server: HttpServer) -> None:
    provider = embedding(server)
    server.always = Reply("down", status=503)
    with pytest.raises(ProviderUnavailableError):
        await provider.embed("x")
    server.always = answer
    assert await provider.embed("x") == vector_of("x")
    await provider.close()


async def test_key_and_address_come_from_the_environment(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
        OpenAIEmbedding()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-env")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    server.always = answer
    provider = OpenAIEmbedding(dims=4)
    await provider.embed("x")
    await provider.close()
    assert server.requests[0].headers["authorization"] == "Bearer sk-from-env"


def test_the_key_is_not_shown() -> None:
    provider = OpenAIEmbedding("sk-very-secret-0123456789")
    assert "secret" not in f"{provider!r} {vars(provider)}"
    assert (provider.provider, provider.model, provider.dims) == ("openai", "text-embedding-3-small", 1536)
