"""Embeddings of OpenAI, or of any endpoint with the same API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neuromem.plugin.http import HttpClient, HttpEmbedding
from neuromem_openai.vendors import find_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.plugin.http import Retry

_NATIVE = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072}
_SHORTENS = re.compile(r"text-embedding-(3-|v[34])|qwen3-embedding", re.IGNORECASE)


class OpenAIEmbedding(HttpEmbedding):
    """Embeds with OpenAI's API.

    ::

        embedding = OpenAIEmbedding(model="text-embedding-3-large", dims=1024)

    Args:
        api_key: The key; None looks it up as `find_endpoint` says.
        model: The name of the model.
        base_url: The address of the API; None looks it up as `find_endpoint` says.
        dims: The length of the vectors. A model that can shorten its vectors is asked to; any other must have it.
        max_inputs: Texts in one call. OpenAI allows 2,048, whose answer would have 70 MB; some compatible servers
            allow only 10.
        timeout: Seconds without a byte from the server after which a call fails.
        retry: How often a failed call is repeated.
        env: The environment; None is that of the process.
    """

    def __init__(
        self,
        api_key: str | None = None,
        model: str = "text-embedding-3-small",
        base_url: str | None = None,
        dims: int = 1536,
        *,
        max_inputs: int = 128,
        timeout: float = 60.0,
        retry: Retry | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        endpoint = find_endpoint(model, api_key, base_url, env)
        http = HttpClient(
            endpoint.base_url,
            provider=endpoint.vendor.name,
            api_key=endpoint.api_key,
            key_hint=endpoint.key_hint,
            read_timeout=timeout,
            retry=retry,
        )
        shortened = _SHORTENS.search(model) and dims != _NATIVE.get(model)
        super().__init__(
            http,
            model=model,
            dims=dims,
            max_inputs=max_inputs,
            parameters={"dimensions": dims} if shortened else {},
        )
