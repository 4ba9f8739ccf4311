"""The embeddings call that most vendors share: ``POST {base_url}/embeddings`` as OpenAI defined it."""

from __future__ import annotations

import logging
import math
import re
from typing import TYPE_CHECKING, Any

from neuromem.errors import ProviderResponseError
from neuromem.plugin.http.failures import HttpStatusError
from neuromem.plugin.providers import EmbeddingProvider

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from neuromem.plugin.http.client import HttpClient

logger = logging.getLogger("neuromem.http")

_TOO_MUCH = re.compile(
    r"context.?length|too (long|large|many)|maximum|exceed|larger than|input length|batch|tokens",
    re.IGNORECASE,
)
_SHORTEST = 128  # characters; no model refuses so little for its length


class HttpEmbedding(EmbeddingProvider):
    """Embeds over HTTP; a vendor's class calls this constructor.

    ::

        class MyEmbedding(HttpEmbedding):
            def __init__(self, api_key: str) -> None:
                http = HttpClient("https://api.example.com/v1", provider="example", api_key=api_key)
                super().__init__(http, model="my-model", dims=1024, max_inputs=32)

    At most ``max_inputs`` texts and ``max_bytes`` bytes of text go into one call; ``parameters`` go with
    every call. What is still too much for the server is halved, and a text longer than the model takes is cut
    until it fits; the log says so.
    """

    def __init__(
        self,
        http: HttpClient,
        *,
        model: str,
        dims: int,
        max_inputs: int,
        max_bytes: int = 400_000,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._http = http
        self._model = model
        self._dims = dims
        self._max_inputs = max_inputs
        self._max_bytes = max_bytes
        self._parameters = dict(parameters or {})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self._model!r}, dims={self._dims})"

    @property
    def provider(self) -> str:
        """Name of the vendor."""
        return self._http.provider

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._model

    @property
    def dims(self) -> int:
        """Length of every vector."""
        return self._dims

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts, in as few calls as the vendor's limits allow."""
        vectors: list[list[float]] = []
        for batch in split(texts, self._max_inputs, self._max_bytes):
            vectors += await self._embed(batch)
        return vectors

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._http.close()

    async def _embed(self, texts: list[str]) -> list[list[float]]:
        payload = {"model": self._model, "input": texts, "encoding_format": "float", **self._parameters}
        try:
            reply = await self._http.post_json("/embeddings", payload)
        except HttpStatusError as error:
            if not _is_too_much(error) or (len(texts) == 1 and len(texts[0]) <= _SHORTEST):
                raise
        else:
            return self._vectors(reply, len(texts))
        if len(texts) > 1:  # too many of them, or a long one that alone is to be cut
            middle = len(texts) // 2
            return await self._embed(texts[:middle]) + await self._embed(texts[middle:])
        text, kept = texts[0], len(texts[0]) // 2
        logger.warning("%s takes no text of %d characters: the first %d count", self._model, len(text), kept)
        return await self._embed([text[:kept]])

    def _vectors(self, reply: Mapping[str, Any], count: int) -> list[list[float]]:
        data = reply.get("data")
        if not isinstance(data, list) or len(data) != count:
            got = f"{len(data)}" if isinstance(data, list) else f"no list 'data' but {_kind(reply)}"
            raise self._wrong(f"{count} embeddings were asked for and {got} came back")
        vectors: list[list[float] | None] = [None] * count
        for position, item in enumerate(data):
            if not isinstance(item, dict):
                raise self._wrong(f"item {position} is not an object but {_kind(item)}")
            index = item.get("index", position)
            if not isinstance(index, int) or not 0 <= index < count or vectors[index] is not None:
                raise self._wrong(f"item {position} has an index of its own making")
            vectors[index] = self._vector(item.get("embedding"))
        return [vector for vector in vectors if vector is not None]

    def _vector(self, value: Any) -> list[float]:
        if not isinstance(value, list) or not all(type(x) in (float, int) for x in value):
            raise self._wrong(f"an embedding is not a list of numbers but {_kind(value)}")
        if len(value) != self._dims:
            raise self._wrong(
                f"its vectors have {len(value)} numbers and not {self._dims} (dims={len(value)} would fit)"
            )
        vector = [float(x) for x in value]
        if not all(map(math.isfinite, vector)):
            raise self._wrong("an embedding holds numbers that are not finite")
        return vector

    def _wrong(self, what: str) -> ProviderResponseError:
        return ProviderResponseError(
            f"{self.provider} answered for embedding model {self._model!r}, but {what}. "
            "Check the name of the model, dims and base_url.",
            provider=self.provider,
        )


def split(texts: Sequence[str], max_items: int, max_bytes: int) -> Iterator[list[str]]:
    """Cut a list into runs of at most so many items and, unless one alone has more, so many UTF-8 bytes."""
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode("utf-8", "surrogatepass"))
        if batch and (len(batch) == max_items or size + length > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def _is_too_much(error: HttpStatusError) -> bool:
    return error.status == 413 or (error.status in (400, 422) and bool(_TOO_MUCH.search(error.detail)))


def _kind(value: Any) -> str:
    return f"an object with {sorted(value)[:8]}" if isinstance(value, dict) else f"a {type(value).__name__}"
