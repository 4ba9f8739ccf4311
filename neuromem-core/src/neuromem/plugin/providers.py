"""Base classes of what is chosen once: embedding, LLM, object storage, database.

An author writes the abstract methods; everything else has a sensible default. ``close()`` gives back what the
object holds (connections, threads) and leaves it usable: a later call opens it again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, NotRequired, Self, TypedDict

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping, Sequence


class _Provider(ABC):
    @property
    def provider(self) -> str:
        """Name of the vendor, as errors and embedding spaces show it; default: the class's package."""
        return type(self).__module__.partition(".")[0]

    async def close(self) -> None:
        """Give back connections and threads; calling it twice is fine. Default: nothing to do."""


class EmbeddingProvider(_Provider):
    """Turns text into vectors.

    ::

        class MyEmbedding(EmbeddingProvider):
            model = "my-model-v2"
            dims = 384

            async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
                return [my_model(text) for text in texts]
    """

    @property
    @abstractmethod
    def model(self) -> str:
        """Name of the model; vectors of different models are never compared."""

    @property
    @abstractmethod
    def dims(self) -> int:
        """Length of every vector, at most 4,000."""

    @property
    def revision(self) -> str:
        """Anything else that changes the vectors: quantization, prefix, version. Default: empty."""
        return ""

    @property
    def baseline_cosine(self) -> float | None:
        """Mean cosine of unrelated texts; None, the default, has it measured once per embedding space."""
        return None

    @abstractmethod
    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts: one vector of ``dims`` floats each, in the order of the texts, batches split as needed."""

    async def embed(self, text: str) -> list[float]:
        """Embed one text."""
        return (await self.embed_batch([text]))[0]

    async def embed_query(self, text: str) -> list[float]:
        """Embed a question; models that treat questions differently override this."""
        return await self.embed(text)


class ChatMessage(TypedDict):
    """A message to an LLM."""

    role: Literal["system", "user", "assistant"]
    content: str
    name: NotRequired[str]


class ChatReply(str):
    """The text of a reply, with the model and the tokens it cost; None where the provider does not say."""

    __slots__ = ("completion_tokens", "finish_reason", "model", "prompt_tokens")

    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    finish_reason: str | None

    def __new__(
        cls,
        content: str,
        *,
        model: str | None = None,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        finish_reason: str | None = None,
    ) -> Self:
        """Make a reply from its text and what is known about the call."""
        reply = super().__new__(cls, content)
        reply.model = model
        reply.prompt_tokens = prompt_tokens
        reply.completion_tokens = completion_tokens
        reply.finish_reason = finish_reason
        return reply


class LLMProvider(_Provider):
    """Answers a chat."""

    @property
    @abstractmethod
    def model(self) -> str:
        """Name of the model."""

    @abstractmethod
    async def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float = 0.1,
        max_tokens: int = 2048,
        json_schema: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the reply's text; a `ChatReply` when usage is known.

        With ``json_schema`` the provider uses structured output when it has it, and asks for JSON otherwise;
        the caller checks what arrives.
        """


class ObjectStorage(_Provider):
    """Keeps the bytes of uploaded files."""

    @abstractmethod
    async def upload(
        self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
    ) -> str:
        """Store ``data`` under ``key``, replacing what was there, and return the key."""

    @abstractmethod
    async def download(self, key: str) -> bytes:
        """Return the bytes stored under ``key``; `NotFoundError` when there are none."""

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Delete what is stored under ``key``; True when there was something."""

    @abstractmethod
    async def exists(self, key: str) -> bool:
        """Tell whether something is stored under ``key``."""

    @abstractmethod
    async def presigned_url(self, key: str, expires_in: int = 3600) -> str:
        """Return a URL that fetches the object without credentials for ``expires_in`` seconds."""


class DatabaseProvider(_Provider):
    """A place to get a PostgreSQL from."""

    @abstractmethod
    async def open(self) -> str:
        """Make the server ready and return the URL to connect with, as an ordinary role."""
