"""Chat with OpenAI, or with any endpoint that has the same API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from neuromem.errors import ProviderResponseError
from neuromem.plugin import ChatReply, LLMProvider
from neuromem.plugin.http import HttpClient, HttpStatusError
from neuromem_openai.dialect import Dialect
from neuromem_openai.vendors import find_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.plugin import ChatMessage
    from neuromem.plugin.http import Retry

# Some servers leave out the tag that begins the reasoning.
_THOUGHT = re.compile(r"\A(?:\s*<think>|(?!\s*[{\[])).*?</think>\s*", re.DOTALL)
_FINAL = ("length", "content_filter")  # repeating such a call would end the same way


class OpenAILLM(LLMProvider):
    """Chats with any OpenAI-compatible endpoint.

    ::

        llm = OpenAILLM(model="deepseek-chat")                                # DeepSeek, DEEPSEEK_API_KEY
        llm = OpenAILLM(model="qwen3:8b", base_url="http://localhost:11434/v1")  # a server of your own

    Structured output is requested in the strongest form that the server takes: a JSON schema, a JSON object, or a
    sentence in the prompt. A form that it refused once is not tried again.

    Args:
        api_key: The key; None looks it up as `find_endpoint` says.
        model: The name of the model; it also says which vendor is meant.
        base_url: The address of the API; None looks it up as `find_endpoint` says.
        timeout: Seconds without a byte from the server after which a call fails.
        retry: How often a failed call is repeated.
        env: The environment; None is that of the process.
    """

    def __init__(
        self,
        api_key: str | None = None,
        model: str = "gpt-4o-mini",
        base_url: str | None = None,
        *,
        timeout: float = 120.0,
        retry: Retry | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        endpoint = find_endpoint(model, api_key, base_url, env)
        self._model = model
        self._http = HttpClient(
            endpoint.base_url,
            provider=endpoint.vendor.name,
            api_key=endpoint.api_key,
            key_hint=endpoint.key_hint,
            read_timeout=timeout,
            retry=retry,
        )
        self._dialect = Dialect.of(
            model, json_schema=endpoint.vendor.json_schema, is_openai=endpoint.is_openai
        )

    def __repr__(self) -> str:
        return f"OpenAILLM(model={self._model!r}, {self._http!r})"

    @property
    def provider(self) -> str:
        """Name of the vendor."""
        return self._http.provider

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._model

    async def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float = 0.1,
        max_tokens: int = 2048,
        json_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        """Return the reply with its usage; raises `ProviderResponseError` when the model gives no text."""
        reply = await self._ask(messages, temperature, max_tokens, json_schema)
        if not reply and reply.finish_reason not in _FINAL:  # some models are silent by chance
            reply = await self._ask(messages, temperature, max_tokens, json_schema)
        if reply:
            return reply
        advice = "Raise max_tokens." if reply.finish_reason == "length" else "Try again or use another model."
        raise ProviderResponseError(
            f"{self._model!r} of {self.provider} replied without text (it finished with "
            f"{reply.finish_reason!r}). {advice}",
            provider=self.provider,
            reply=reply,
        )

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._http.close()

    async def _ask(
        self,
        messages: Sequence[ChatMessage],
        temperature: float,
        max_tokens: int,
        json_schema: Mapping[str, Any] | None,
    ) -> ChatReply:
        dialect: Dialect | None = self._dialect
        tried: set[Dialect] = set()
        first: HttpStatusError | None = None
        while dialect is not None and dialect not in tried:
            payload = dialect.payload(self._model, messages, temperature, max_tokens, json_schema)
            try:
                answer = await self._http.post_json("/chat/completions", payload)
            except HttpStatusError as error:
                first = first or error
                tried.add(dialect)
                dialect = dialect.after(error, wants_json=json_schema is not None)
            else:
                self._dialect = dialect
                return self._reply(answer, wants_json=json_schema is not None)
        assert first is not None
        raise first

    def _reply(self, answer: Mapping[str, Any], *, wants_json: bool) -> ChatReply:
        choices = answer.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise ProviderResponseError(
                f"{self.provider} answered the chat with {self._model!r} without a message in 'choices'. "
                "Check that base_url is an OpenAI-compatible API.",
                provider=self.provider,
            )
        usage = answer.get("usage")
        text = _THOUGHT.sub("", _text(message.get("content"))).strip()
        return ChatReply(
            text or (_misplaced(message) if wants_json else ""),
            model=_str(answer.get("model")) or self._model,
            prompt_tokens=_count(usage, "prompt_tokens"),
            completion_tokens=_count(usage, "completion_tokens"),
            finish_reason=_str(choice.get("finish_reason")),
        )


def _text(content: Any) -> str:
    """Return the text of a message; some servers send it in parts, with the reasoning among them."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "".join(_str(part.get("text")) or "" for part in parts)
    return _str(content) or ""


def _misplaced(message: Mapping[str, Any]) -> str:
    """Return JSON that the server took for reasoning by mistake: reasoning does not begin with a brace."""
    for name in ("reasoning_content", "reasoning"):
        thought = _text(message.get(name)).strip()
        if thought.startswith("{"):
            return thought
    return ""


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int else None
