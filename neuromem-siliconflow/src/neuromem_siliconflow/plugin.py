"""The hooks of neuromem-siliconflow; its classes are imported when one of them is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.errors import ConfigurationError
from neuromem.plugin import EmbeddingProvider, ProviderSpec, Reranker, StageSpec, hookimpl

if TYPE_CHECKING:
    from neuromem.plugin import Context

_OPTIONS = ("api_key", "base_url", "dims", "timeout")


@hookimpl
def neuromem_embeddings() -> list[ProviderSpec[EmbeddingProvider]]:
    """Offer SiliconFlow's embeddings."""
    return [ProviderSpec("siliconflow", _embedding, "Embeddings of SiliconFlow, as BAAI/bge-m3")]


@hookimpl
def neuromem_rerankers() -> list[StageSpec[Reranker]]:
    """Offer SiliconFlow's reranking; it sends what was found over the network, so it is off unless named."""
    return [StageSpec("siliconflow", _reranker, "Reranks with a cross-encoder of SiliconFlow")]


def _embedding(ctx: Context) -> EmbeddingProvider:
    from neuromem_siliconflow.embedding import SiliconFlowEmbedding

    return SiliconFlowEmbedding(**_arguments(ctx, *_OPTIONS))


def _reranker(ctx: Context) -> Reranker:
    from neuromem_siliconflow.reranker import SiliconFlowReranker

    return SiliconFlowReranker(**_arguments(ctx, "api_key", "base_url", "timeout"))


def _arguments(ctx: Context, *names: str) -> dict[str, Any]:
    """Return the arguments of a constructor: both classes share one set of options, and each takes those it knows."""
    unknown = sorted(set(ctx.options) - set(_OPTIONS))
    if unknown:
        raise ConfigurationError(
            f"The plugin 'siliconflow' has no option {unknown[0]!r}; it knows {', '.join(_OPTIONS)}."
        )
    chosen = {name: ctx.options[name] for name in names if name in ctx.options}
    return {"env": ctx.env, **chosen, **({"model": ctx.model} if ctx.model else {})}
