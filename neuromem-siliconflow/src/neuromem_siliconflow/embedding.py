"""Embeddings of SiliconFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.plugin.http import HttpEmbedding
from neuromem_siliconflow.account import open_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.plugin.http import Retry

_MAX_INPUTS = 32  # SiliconFlow's limit for one call


class SiliconFlowEmbedding(HttpEmbedding):
    """Embeds with SiliconFlow's API.

    ::

        embedding = SiliconFlowEmbedding(model="Qwen/Qwen3-Embedding-0.6B", dims=512)

    Args:
        api_key: The key; None is ``SILICONFLOW_API_KEY``.
        model: The name of the model.
        base_url: The address of the API; None is ``SILICONFLOW_BASE_URL``, else SiliconFlow's own.
        dims: The length of the vectors. A Qwen3 model is asked for it; any other must have it.
        timeout: Seconds without a byte from the server after which a call fails.
        retry: How often a failed call is repeated.
        env: The environment; None is that of the process.
    """

    def __init__(
        self,
        api_key: str | None = None,
        model: str = "BAAI/bge-m3",
        base_url: str | None = None,
        dims: int = 1024,
        *,
        timeout: float = 60.0,
        retry: Retry | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            open_client(api_key, base_url, timeout=timeout, retry=retry, env=env),
            model=model,
            dims=dims,
            max_inputs=_MAX_INPUTS,
            parameters={"dimensions": dims} if "qwen3-" in model.lower() else {},
        )
