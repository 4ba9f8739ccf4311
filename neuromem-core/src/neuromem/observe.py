"""Reports events to observers and callbacks, and meters LLM calls; an observer's error is logged, never raised."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.events import EmbeddingCallEvent, LLMCallEvent
from neuromem.plugin.providers import ChatReply, LLMProvider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from neuromem.plugin.providers import ChatMessage
    from neuromem.plugin.stages import Observer

logger = logging.getLogger("neuromem")

EVENTS = ("on_extraction", "on_digest", "on_llm_call", "on_embedding_call")


class Observers:
    """The observers of plugins and the callbacks of a NeuroMemory, sync or async, to which events are reported.

    ``callbacks`` holds one callback for each of `EVENTS`, or None.
    """

    def __init__(self, observers: Mapping[str, Observer] | None = None) -> None:
        self._observers = dict(observers or {})
        self.callbacks: dict[str, Callable[[Any], object] | None] = dict.fromkeys(EVENTS)

    async def notify(self, event: str, payload: Mapping[str, Any]) -> None:
        """Call every observer and the callback of an event, each with a copy of the payload."""
        listeners = [getattr(observer, event, None) for observer in self._observers.values()]
        for listener in filter(None, [*listeners, self.callbacks[event]]):
            try:
                result = listener(dict(payload))
                if inspect.isawaitable(result):
                    await result
            except asyncio.CancelledError:
                raise
            except Exception:
                logger.exception("An observer of %s failed; the work goes on.", event)

    async def embedding(
        self, model: str, texts: int, call: Callable[[], Awaitable[Sequence[Any]]]
    ) -> Sequence[Any]:
        """Make an embedding call and report it, whether it succeeds or not.

        Args:
            model: The name of the model.
            texts: How many texts are embedded.
            call: Makes the call.

        Returns:
            What ``call`` returns.
        """
        start = time.perf_counter()
        error: str | None = None
        try:
            return await call()
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            raise
        finally:
            await self.notify(
                "on_embedding_call",
                EmbeddingCallEvent(
                    model=model,
                    text_count=texts,
                    duration_ms=(time.perf_counter() - start) * 1000,
                    success=error is None,
                    error=error,
                ),
            )


@dataclass(frozen=True, slots=True)
class LLMCall:
    """What one call of an LLM cost; 0 tokens where the provider does not report them."""

    model: str
    failed: bool
    prompt_tokens: int = 0
    completion_tokens: int = 0


class MeteredLLM(LLMProvider):
    """An LLM that reports every call to the observers and adds it to the account that is open around it."""

    def __init__(self, llm: LLMProvider, observers: Observers) -> None:
        self._llm = llm
        self._observers = observers
        self._account: ContextVar[list[LLMCall] | None] = ContextVar("account", default=None)

    @property
    def provider(self) -> str:
        """Name of the vendor."""
        return self._llm.provider

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._llm.model

    @contextmanager
    def account(self) -> Iterator[list[LLMCall]]:
        """Return a list to which the calls within the ``with`` block are added."""
        calls: list[LLMCall] = []
        token = self._account.set(calls)
        try:
            yield calls
        finally:
            self._account.reset(token)

    async def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float = 0.1,
        max_tokens: int = 2048,
        json_schema: Mapping[str, Any] | None = None,
    ) -> str:
        """Call the LLM and report the call, whether it succeeds or not."""
        start = time.perf_counter()
        reply: str | None = None
        error: str | None = None
        try:
            reply = await self._llm.chat(
                messages, temperature=temperature, max_tokens=max_tokens, json_schema=json_schema
            )
            return reply
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            reply = getattr(failure, "reply", None)  # a reply that cannot be used has cost tokens, too
            raise
        finally:
            usage = reply if isinstance(reply, ChatReply) else None
            prompt, completion = (
                (None, None) if usage is None else (usage.prompt_tokens, usage.completion_tokens)
            )
            model = (None if usage is None else usage.model) or self._llm.model
            calls = self._account.get()
            if calls is not None:
                calls.append(LLMCall(model, error is not None, prompt or 0, completion or 0))
            await self._observers.notify(
                "on_llm_call",
                LLMCallEvent(
                    model=model,
                    duration_ms=(time.perf_counter() - start) * 1000,
                    temperature=temperature,
                    max_tokens=max_tokens,
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                    success=error is None,
                    error=error,
                ),
            )
