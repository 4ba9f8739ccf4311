"""OpenAILLM against a real HTTP server that answers like several vendors."""

from __future__ import annotations

from typing import Any

import pytest

from neuromem.errors import AuthenticationError, ProviderResponseError, RateLimitError
from neuromem.plugin import ChatMessage, ChatReply
from neuromem.plugin.http import HttpStatusError, Retry
from neuromem_openai import OpenAILLM
from tests.support.http_server import HttpServer, Reply, Request

FAST = Retry(attempts=2, backoff=0.001)
ASK: list[ChatMessage] = [{"role": "user", "content": "Hi"}]
SCHEMA = {
    "type": "object",
    "properties": {"facts": {"type": "array", "items": {"type": "string"}}},
    "required": ["facts"],
    "additionalProperties": False,
}


def said(content: Any, *, finish: str = "stop", **message: Any) -> Reply:
    """A reply as OpenAI writes it."""
    return Reply(
        {
            "id": "chatcmpl-1",
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, **message},
                    "finish_reason": finish,
                }
            ],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    )


def no(message: str, status: int = 400) -> Reply:
    return Reply({"error": {"message": message, "type": "invalid_request_error"}}, status=status)


def llm(server: HttpServer, model: str = "gpt-4o-mini", **options: Any) -> OpenAILLM:
    return OpenAILLM("sk-test", model, server.url, retry=FAST, **options)


async def test_reply_tells_what_it_cost(server: HttpServer) -> None:
    server.script(said("Hello!"))
    provider = llm(server)
    reply = await provider.chat(ASK, temperature=0.3, max_tokens=99)
    await provider.close()
    assert reply == "Hello!"
    assert isinstance(reply, ChatReply)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.finish_reason) == (11, 7, "stop")
    assert reply.model == "gpt-4o-mini-2024-07-18"
    assert server.requests[0].path == "/chat/completions"
    assert server.requests[0].json == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.3,
        "max_tokens": 99,
    }


async def test_usage_that_is_not_told_is_none(server: HttpServer) -> None:
    server.script(Reply({"choices": [{"message": {"content": "Hi"}}], "usage": None}))
    provider = llm(server)
    reply = await provider.chat(ASK)
    await provider.close()
    assert (reply.prompt_tokens, reply.completion_tokens, reply.finish_reason) == (None, None, None)
    assert reply.model == "gpt-4o-mini"


async def test_names_of_speakers_fit_what_servers_take(server: HttpServer) -> None:
    server.script(said("Hi"))
    provider = llm(server)
    await provider.chat([{"role": "user", "content": "Hi", "name": "Dr. Alice <Smith>"}])
    await provider.close()
    assert server.requests[0].json["messages"][0]["name"] == "Dr._Alice_Smith_"


async def test_schema_is_enforced_where_it_can_be(server: HttpServer) -> None:
    server.script(said('{"facts": []}'), said('{"facts": []}'))
    provider = llm(server)
    await provider.chat(ASK, json_schema=SCHEMA)
    await provider.chat(ASK, json_schema={"type": "object", "properties": {"x": {"type": "string"}}})
    await provider.close()
    asked = [request.json["response_format"] for request in server.requests]
    assert asked[0] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True},
    }
    assert asked[1]["json_schema"]["strict"] is False  # an open object cannot be enforced
    assert '"facts"' in server.requests[0].json["messages"][0]["content"]  # not every server keeps to it


async def test_formats_are_tried_from_the_strongest_and_the_answer_is_remembered(server: HttpServer) -> None:
    def old_server(request: Request) -> Reply:
        kind = request.json.get("response_format", {}).get("type")
        return said('{"facts": ["x"]}') if kind is None else no(f"response_format {kind} is not supported")

    server.always = old_server
    provider = llm(server)
    assert await provider.chat(ASK, json_schema=SCHEMA) == '{"facts": ["x"]}'
    assert await provider.chat(ASK, json_schema=SCHEMA) == '{"facts": ["x"]}'
    await provider.close()
    kinds = [request.json.get("response_format", {}).get("type") for request in server.requests]
    assert kinds == ["json_schema", "json_object", None, None]
    assert '"facts"' in server.requests[-1].json["messages"][0]["content"]


async def test_a_refusal_that_no_format_mends_is_the_first_one(server: HttpServer) -> None:
    server.script(no("Model Not Exist"), no("second"), no("third"), said("{}"))
    provider = llm(server)
    with pytest.raises(HttpStatusError, match="Model Not Exist"):
        await provider.chat(ASK, json_schema=SCHEMA)
    await provider.chat(ASK, json_schema=SCHEMA)  # nothing was learned from it
    await provider.close()
    assert server.requests[-1].json["response_format"]["type"] == "json_schema"


async def test_without_a_schema_a_refusal_is_raised_at_once(server: HttpServer) -> None:
    server.script(no("Model Not Exist"))
    provider = llm(server)
    with pytest.raises(HttpStatusError, match="Model Not Exist"):
        await provider.chat(ASK)
    await provider.close()
    assert len(server.requests) == 1


async def test_deepseek_is_asked_for_an_object_with_the_schema_in_the_prompt(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEEK_BASE_URL", server.url)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-deep")
    server.script(said('{"facts": []}'))
    provider = OpenAILLM(model="deepseek-chat", retry=FAST)
    await provider.chat([{"role": "system", "content": "Extract."}, *ASK], json_schema=SCHEMA)
    await provider.close()
    request = server.requests[0]
    assert request.headers["authorization"] == "Bearer sk-deep"
    assert request.json["response_format"] == {"type": "json_object"}
    system, user = request.json["messages"]
    assert system["content"].startswith("Extract.\n\n")
    assert "JSON" in system["content"]
    assert '"additionalProperties": false' in system["content"]
    assert user == {"role": "user", "content": "Hi"}
    assert provider.provider == "deepseek"


@pytest.mark.parametrize("model", ["o3-mini", "gpt-5-mini", "o1"])
async def test_reasoning_models_are_asked_their_way(server: HttpServer, model: str) -> None:
    server.script(said("Hi"))
    provider = llm(server, model)
    await provider.chat(ASK, temperature=0.3, max_tokens=100)
    await provider.close()
    body = server.requests[0].json
    assert "temperature" not in body
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] > 1000  # they think before they answer


async def test_unknown_reasoning_models_teach_us_their_way(server: HttpServer) -> None:
    def new_model(request: Request) -> Reply:
        if "max_tokens" in request.json:
            return no("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "temperature" in request.json:
            return no("Unsupported value: 'temperature' does not support 0.1 with this model.")
        return said("Hi")

    server.always = new_model
    provider = llm(server, "gpt-9")
    assert await provider.chat(ASK) == "Hi"
    assert await provider.chat(ASK) == "Hi"
    await provider.close()
    assert len(server.requests) == 4


async def test_a_server_that_wants_neither_limit_ends(server: HttpServer) -> None:
    server.always = no("max_tokens and max_completion_tokens are both unknown here")
    provider = llm(server)
    with pytest.raises(HttpStatusError, match="both unknown"):
        await provider.chat(ASK)
    await provider.close()
    assert len(server.requests) == 2


async def test_reasoning_is_not_the_reply(server: HttpServer) -> None:
    server.script(
        said("Rome", reasoning_content="Let me think: Paris? No."),
        said("<think>\nParis? No.\n</think>\n\nRome"),
        said([{"type": "thinking", "thinking": []}, {"type": "text", "text": "Rome"}]),
    )
    provider = llm(server, "deepseek-reasoner")
    assert [await provider.chat(ASK) for _ in range(3)] == ["Rome"] * 3
    await provider.close()


async def test_json_that_a_server_took_for_reasoning_is_the_reply(server: HttpServer) -> None:
    server.script(
        said(None, reasoning_content='{"facts": []}'), said(None, reasoning='{"facts": []}'), said("Hi")
    )
    provider = llm(server)
    schema = {"type": "object", "properties": {}}
    assert await provider.chat(ASK, json_schema=schema) == '{"facts": []}'
    assert await provider.chat(ASK) == "Hi"  # nobody asked for JSON: these were thoughts
    await provider.close()


async def test_silence_is_asked_once_more(server: HttpServer) -> None:
    server.script(said("", reasoning_content="hm"), said("Hi"))
    provider = llm(server)
    assert await provider.chat(ASK) == "Hi"
    await provider.close()


async def test_silence_that_stays_is_an_error(server: HttpServer) -> None:
    server.script(said(None), said(None), said(None, finish="length"))
    provider = llm(server)
    with pytest.raises(ProviderResponseError, match="without text"):
        await provider.chat(ASK)
    with pytest.raises(ProviderResponseError, match="Raise max_tokens"):
        await provider.chat(ASK)
    await provider.close()
    assert len(server.requests) == 3


async def test_a_truncated_reply_says_so(server: HttpServer) -> None:
    server.script(said('{"facts": ["a', finish="length"))
    provider = llm(server)
    reply = await provider.chat(ASK)
    await provider.close()
    assert (reply, reply.finish_reason) == ('{"facts": ["a', "length")


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"choices": [{}]}, {"choices": "x"}, {"choices": [None]}]
)
async def test_an_answer_without_a_message_is_refused(server: HttpServer, body: object) -> None:
    server.script(Reply(body))
    provider = llm(server)
    with pytest.raises(ProviderResponseError, match="choices"):
        await provider.chat(ASK)
    await provider.close()


async def test_errors_name_the_vendor_and_the_variable(server: HttpServer) -> None:
    server.script(no("Authentication Fails (no such user)", 401), no("Rate limit reached", 429))
    provider = llm(server, "deepseek-chat")
    with pytest.raises(AuthenticationError, match="DEEPSEEK_API_KEY") as caught:
        await provider.chat(ASK)
    assert caught.value.provider == "deepseek"
    server.always = no("Rate limit reached", 429)
    with pytest.raises(RateLimitError, match="Rate limit reached"):
        await provider.chat(ASK)
    await provider.close()
    assert "sk-test" not in f"{provider!r} {vars(provider)}"
