"""Providers that are broken, each in one way, for the contracts to catch."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx

from neuromem.errors import (
    AuthenticationError,
    ProviderResponseError,
    ProviderUnavailableError,
    RateLimitError,
)
from neuromem.plugin import ChatReply, EmbeddingProvider, LLMProvider
from neuromem.testing import HashEmbedding, MemoryStorage
from neuromem.testing.contracts import HttpContract

if TYPE_CHECKING:
    from collections.abc import Sequence


SECRET = HttpContract.secret


class BoundToALoop:
    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def call(self) -> None:
        async with self._lock:
            await asyncio.sleep(0)


class OneAtATime:
    busy = False

    async def call(self) -> None:
        assert not self.busy
        self.busy = True
        await asyncio.sleep(0)
        self.busy = False


class KeepsItsLock:
    def __init__(self) -> None:
        self._locks: dict[Any, asyncio.Lock] = {}

    async def call(self) -> None:
        lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        await lock.acquire()
        await asyncio.sleep(0)
        lock.release()


class ClosedForGood:
    closed = False

    async def call(self) -> None:
        if self.closed:
            raise RuntimeError("it is closed")

    async def close(self) -> None:
        self.closed = True


class LeavesATask:
    async def call(self) -> None:
        self.task = asyncio.ensure_future(asyncio.sleep(60))


class LeavesAThread:
    async def call(self) -> None:
        threading.Thread(target=lambda: threading.Event().wait(1.0)).start()


class LeavesASocket:
    async def call(self) -> None:
        socket.socket()


class ShowsItsKey:
    def __init__(self) -> None:
        self.key = SECRET

    async def call(self) -> None: ...


class LogsItsKey:
    async def call(self) -> None:
        logging.getLogger("acme").debug("calling with %s", SECRET)


class Mutant(EmbeddingProvider):
    """Embeds by hashing, but for what is broken."""

    model = "mutant"
    dims = 64

    def __init__(self) -> None:
        self._hash = HashEmbedding()

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return await self._hash.embed_batch(texts)


class Nameless(Mutant):
    model = ""


class TooLong(Mutant):
    dims = 5_000


class RefusesNothing(Mutant):
    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return await super().embed_batch(texts or ["nothing"])


class Backwards(Mutant):
    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return (await super().embed_batch(texts))[::-1]


class OneForAll(Mutant):
    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0] * self.dims for _ in texts]


class Mixing(Mutant):
    texts: Sequence[str] = ()

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts = texts
        await asyncio.sleep(0)
        return await super().embed_batch(self.texts)


class CutsAt100(Mutant):
    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return await super().embed_batch(texts[:100])


class SwapsBatches(Mutant):
    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        vectors = await super().embed_batch(texts)
        return vectors[100:] + vectors[:100]


class NotANumber(Mutant):
    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return [
            [float("nan")] * 64 if not text.strip() else vector
            for text, vector in zip(texts, await super().embed_batch(texts), strict=True)
        ]


class Rolling(Mutant):
    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return [[random.random() - 0.5 for _ in range(64)] for _ in texts]


class ShortQuestions(Mutant):
    async def embed_query(self, text: str) -> list[float]:
        return (await self.embed(text))[:32]


class Prefixing(Mutant):
    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        if isinstance(texts, list):
            texts[:] = [f"passage: {text}" for text in texts]
        return await super().embed_batch(texts)


class Chatter(LLMProvider):
    """Answers, but for what is broken."""

    model = "mutant"

    async def chat(self, messages: Any, **options: Any) -> str:
        return ChatReply("Blue")


class NamelessLLM(Chatter):
    model = ""


class NegativeCost(Chatter):
    async def chat(self, messages: Any, **options: Any) -> str:
        return ChatReply("Blue", prompt_tokens=-1)


class KnowsNoSchema(Chatter):
    async def chat(self, messages: Any, temperature: float = 0.0, max_tokens: int = 1) -> str:  # type: ignore[override]
        return "Blue"


class AddsToMessages(Chatter):
    async def chat(self, messages: Any, **options: Any) -> str:
        messages[0]["content"] += " Be brief."
        return "Blue"


class KeepsTheMessages(Chatter):
    """Over HTTP: sends what the last caller asked."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def chat(self, messages: Any, **options: Any) -> str:
        self._messages = messages
        await asyncio.sleep(0)
        async with httpx.AsyncClient() as client:
            await client.post(self._url, json=self._messages)
        return "Blue"


class Http:
    """Speaks HTTP as it should, or ``breaks``."""

    shared: dict[str, Any] = {}  # noqa: RUF012 - that is what is broken

    def __init__(self, url: str, breaks: str = "") -> None:
        self._url = url
        self._breaks = breaks

    async def call(self) -> Any:
        if self._breaks == "shared":
            return await self._shared()
        async with httpx.AsyncClient(timeout=2.0) as client:
            for attempt in range(1 if self._breaks == "never again" else 2):
                try:
                    answer = await self._send(client)
                except httpx.HTTPError as error:
                    if self._breaks == "httpx":
                        raise
                    if attempt or self._breaks == "never again":
                        raise ProviderUnavailableError("down", provider="m") from error
                    continue
                found = self._read(answer)
                if found is not None:
                    return found
                if attempt or self._breaks == "never again":
                    raise ProviderUnavailableError("down", provider="m")
                await asyncio.sleep(0 if self._breaks == "impatient" else 1.0)
        raise ProviderUnavailableError("down", provider="m")

    async def close(self) -> None:
        if self._breaks == "shared" and "client" in self.shared:
            await self.shared.pop("client").aclose()

    async def _send(self, client: httpx.AsyncClient) -> httpx.Response:
        call = client.post(self._url, headers={"Authorization": f"Bearer {SECRET}"})
        if self._breaks != "deaf":
            return await call
        task = asyncio.ensure_future(call)
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                continue
        return task.result()

    async def _shared(self) -> Any:
        if "client" not in self.shared:
            self.shared["client"] = httpx.AsyncClient()
        return (await self.shared["client"].post(self._url)).json()

    def _read(self, answer: httpx.Response) -> Any:
        wait = answer.headers.get("Retry-After")
        if answer.status_code in (401, 403):
            if self._breaks == "wrong error":
                raise ProviderResponseError("refused", provider="m")
            said = answer.text if self._breaks == "echoes" else "refused"
            raise AuthenticationError(said, provider="m")
        if answer.status_code == 429 and wait != "1":
            seconds = float(wait) if wait.isdigit() and self._breaks != "no wait" else None
            raise RateLimitError("slow down", provider="m", retry_after=seconds)
        if answer.status_code >= 400:
            return None
        if self._breaks == "trusting":
            return answer.text or "nothing"
        try:
            return answer.json()["ok"]
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderResponseError("unusable", provider="m") from error


class Truncating(MemoryStorage):
    async def download(self, key: str) -> bytes:
        return (await super().download(key))[:1000]


class OtherKey(MemoryStorage):
    async def upload(self, key: str, data: Any, content_type: str | None = None) -> str:
        await super().upload(key, data)
        return f"/{key}"


class FirstPart(MemoryStorage):
    async def upload(self, key: str, data: Any, content_type: str | None = None) -> str:
        if not isinstance(data, bytes):
            data = await anext(aiter(data))
        return await super().upload(key, data)


class InPlace(MemoryStorage):
    async def upload(self, key: str, data: Any, content_type: str | None = None) -> str:
        if isinstance(data, bytes):
            return await super().upload(key, data)
        self.objects[key] = b""
        async for part in data:
            self.objects[key] += part
        return key


class AsciiKeys(MemoryStorage):
    async def upload(self, key: str, data: Any, content_type: str | None = None) -> str:
        return await super().upload(key.encode("ascii").decode(), data)


class KeepsTheFirst(MemoryStorage):
    async def upload(self, key: str, data: Any, content_type: str | None = None) -> str:
        return key if key in self.objects else await super().upload(key, data)


class IgnoresCase(MemoryStorage):
    async def upload(self, key: str, data: Any, content_type: str | None = None) -> str:
        return await super().upload(key.lower(), data)

    async def download(self, key: str) -> bytes:
        return await super().download(key.lower())


class AlwaysDeleted(MemoryStorage):
    async def delete(self, key: str) -> bool:
        await super().delete(key)
        return True


class EmptyWhenMissing(MemoryStorage):
    async def download(self, key: str) -> bytes:
        return self.objects.get(key, b"")


class SignsWithTheKey(MemoryStorage):
    async def presigned_url(self, key: str, expires_in: int = 3600) -> str:
        return f"https://example.com/{key}?key={SECRET}"
