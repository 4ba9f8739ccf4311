"""A model behind an OpenAI-compatible server: it answers as a test tells it to, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from neuromem.plugin.http import Retry
from neuromem_openai import OpenAILLM
from tests.support.http_server import HttpServer, Reply, Request

Told = Callable[[dict[str, Any]], dict[str, Any]]


def completion(
    content: str, *, finish: str = "stop", prompt: int = 100, said: int = 20, **more: Any
) -> Reply:
    """A chat completion in OpenAI's form."""
    return Reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "test-model",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, **more},
                    "finish_reason": finish,
                }
            ],
            "usage": {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said},
        }
    )


def asked(request: Request) -> dict[str, Any]:
    """What the model was shown: the JSON of the first message of role user."""
    messages = request.json["messages"]
    shown: dict[str, Any] = json.loads(next(m["content"] for m in messages if m["role"] == "user"))
    return shown


def answering(tell: Told) -> Callable[[Request], Reply]:
    """Answer with what ``tell`` makes of what the model was shown."""

    def answer(request: Request) -> Reply:
        return completion(json.dumps(tell(asked(request)), ensure_ascii=False))

    return answer


def echo(shown: dict[str, Any]) -> dict[str, Any]:
    """Make a fact of every new turn: that it was said."""
    return {
        "facts": [
            {"content": turn["text"], "sources": [turn["id"]], "subject": turn["speaker"]}
            for turn in shown["conversation"]
            if turn.get("new")
        ]
    }


def llm(server: HttpServer, **options: Any) -> OpenAILLM:
    """The provider, pointed at the server, impatient."""
    options.setdefault("retry", Retry(attempts=1, backoff=0.001))
    return OpenAILLM("key", "test-model", f"{server.url}/v1", **options)
