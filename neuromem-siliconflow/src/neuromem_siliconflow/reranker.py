"""Reranking with SiliconFlow: a cross-encoder reads the question together with each hit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neuromem.errors import ProviderResponseError
from neuromem_siliconflow.account import PROVIDER, open_client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import RetrievedItem
    from neuromem.plugin.http import Retry

_MAX_DOCUMENTS = 64


class SiliconFlowReranker:
    """Scores how well each hit answers the question; see `neuromem.plugin.Reranker`.

    The content of the hits is sent to SiliconFlow, so it is active only when the settings name it.

    Args:
        api_key: The key; None is ``SILICONFLOW_API_KEY``.
        model: The name of the model.
        base_url: The address of the API; None is ``SILICONFLOW_BASE_URL``, else SiliconFlow's own.
        timeout: Seconds without a byte from the server after which a call fails.
        retry: How often a failed call is repeated.
        env: The environment; None is that of the process.
    """

    def __init__(
        self,
        api_key: str | None = None,
        model: str = "BAAI/bge-reranker-v2-m3",
        base_url: str | None = None,
        *,
        timeout: float = 30.0,
        retry: Retry | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._http = open_client(api_key, base_url, timeout=timeout, retry=retry, env=env)
        self._model = model

    def __repr__(self) -> str:
        return f"SiliconFlowReranker(model={self._model!r})"

    async def rerank(self, query: Query, hits: Sequence[RetrievedItem]) -> Sequence[float]:
        """Return the relevance of each hit, between 0 and 1, in the order of the hits."""
        relevances: list[float] = []
        for start in range(0, len(hits), _MAX_DOCUMENTS):
            documents = [hit.content for hit in hits[start : start + _MAX_DOCUMENTS]]
            relevances += await self._judge(query.text, documents)
        return relevances

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._http.close()

    async def _judge(self, question: str, documents: list[str]) -> list[float]:
        payload = {
            "model": self._model,
            "query": question,
            "documents": documents,
            "top_n": len(documents),
            "return_documents": False,
        }
        reply = await self._http.post_json("/rerank", payload)
        found = dict(map(_judgment, _list(reply.get("results"))))
        if sorted(found, key=str) != sorted(range(len(documents)), key=str):
            raise _wrong(f"{len(found)} of {len(documents)} documents were judged")
        return [found[index] for index in range(len(documents))]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong("there is no list 'results'")
    return value


def _judgment(result: Any) -> tuple[Any, float]:
    score = result.get("relevance_score") if isinstance(result, dict) else None
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise _wrong("a result has no number 'relevance_score'")
    return result.get("index"), min(1.0, max(0.0, float(score)))


def _wrong(what: str) -> ProviderResponseError:
    return ProviderResponseError(
        f"SiliconFlow answered the reranking, but {what}. Check the name of the model and base_url.",
        provider=PROVIDER,
    )
