"""LLMs for tests: one that answers from a script, and one that writes the script."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from neuromem.errors import ProviderResponseError
from neuromem.plugin.providers import ChatMessage, ChatReply, LLMProvider

if TYPE_CHECKING:
    import os

Answer = str | Mapping[str, Any] | BaseException
"""A reply's text, an object to be written as JSON, or an error to be raised."""

Scripted = Answer | Callable[[Sequence[ChatMessage]], Answer]

_KNOWN = ("model", "prompt_tokens", "completion_tokens", "finish_reason")


class ScriptedLLM(LLMProvider):
    """Answers with the given replies in their order, then with ``always``; ``calls`` holds what it was asked.

    ::

        llm = ScriptedLLM({"facts": []}, RateLimitError("slow down", provider="scripted"), "hello")

    A reply may be a function of the messages. When there is nothing left to say it raises `ProviderResponseError`.
    """

    def __init__(self, *replies: Scripted, always: Scripted | None = None, model: str = "scripted") -> None:
        self._replies = deque(replies)
        self._always = always
        self._model = model
        self.calls: list[list[ChatMessage]] = []

    @classmethod
    def replay(cls, path: str | os.PathLike[str]) -> Self:
        """Answer with what a `RecordingLLM` wrote, in that order."""
        replies = []
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            recorded = json.loads(line)
            known = {name: recorded[name] for name in _KNOWN}
            replies.append(ChatReply(recorded["content"], **known))
        return cls(*replies)

    @property
    def model(self) -> str:
        """Name of the fake."""
        return self._model

    @property
    def left(self) -> int:
        """How many scripted replies have not been asked for."""
        return len(self._replies)

    async def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float = 0.1,
        max_tokens: int = 2048,
        json_schema: Mapping[str, Any] | None = None,
    ) -> str:
        """Return, or raise, the next reply."""
        del temperature, max_tokens, json_schema
        self.calls.append(list(messages))
        answer = self._replies.popleft() if self._replies else self._always
        if answer is not None and not isinstance(answer, str | Mapping | BaseException):
            answer = answer(messages)
        if answer is None:
            raise ProviderResponseError(
                f"The script of ScriptedLLM ended before call {len(self.calls)}: give it more replies, or always=.",
                provider=self.provider,
            )
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, ChatReply):
            return answer
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        return ChatReply(text, model=self._model, finish_reason="stop")


class RecordingLLM(LLMProvider):
    """Asks another LLM and appends its replies to a file of JSON Lines, for `ScriptedLLM.replay`.

    Only replies are written, never what was asked. The other LLM is not closed: it was handed in.
    """

    def __init__(self, llm: LLMProvider, path: str | os.PathLike[str]) -> None:
        self._llm = llm
        self._path = Path(path)

    @property
    def model(self) -> str:
        """Name of the other's model."""
        return self._llm.model

    async def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float = 0.1,
        max_tokens: int = 2048,
        json_schema: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the other's reply; it is on disk by then."""
        reply = await self._llm.chat(
            messages, temperature=temperature, max_tokens=max_tokens, json_schema=json_schema
        )
        known = {name: getattr(reply, name, None) for name in _KNOWN}
        line = json.dumps({"content": str(reply), **known}, ensure_ascii=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return reply
