"""Tells observers and callbacks what happened; their errors are logged, never raised."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from typing import TYPE_CHECKING, Any

from neuromem.domain.events import EmbeddingCallEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from neuromem.plugin.stages import Observer

logger = logging.getLogger("neuromem")

EVENTS = ("on_extraction", "on_llm_call", "on_embedding_call")


class Observers:
    """Everybody who wants to know: observers of plugins and the constructor's callbacks, sync or async."""

    def __init__(self, observers: Mapping[str, Observer] | None = None) -> None:
        self._observers = dict(observers or {})
        self.callbacks: dict[str, Callable[[Any], object] | None] = dict.fromkeys(EVENTS)

    async def tell(self, event: str, payload: Mapping[str, Any]) -> None:
        """Hand the payload of an event to everybody, each a copy of its own."""
        listeners = [getattr(observer, event) for observer in self._observers.values()]
        callback = self.callbacks[event]
        for listener in [*listeners, *([callback] if callback is not None else [])]:
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
        """Make an embedding call and tell about it, whether it succeeds or not."""
        start = time.perf_counter()
        error: str | None = None
        try:
            return await call()
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            raise
        finally:
            await self.tell(
                "on_embedding_call",
                EmbeddingCallEvent(
                    model=model,
                    text_count=texts,
                    duration_ms=(time.perf_counter() - start) * 1000,
                    success=error is None,
                    error=error,
                ),
            )
