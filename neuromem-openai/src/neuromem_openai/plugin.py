"""The hooks of neuromem-openai; its classes are imported when one of them is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.errors import ConfigurationError
from neuromem.plugin import EmbeddingProvider, LLMProvider, ProviderSpec, hookimpl

if TYPE_CHECKING:
    from neuromem.plugin import Context

_OPTIONS = ("api_key", "base_url", "dims", "max_inputs", "timeout")


@hookimpl
def neuromem_embeddings() -> list[ProviderSpec[EmbeddingProvider]]:
    """Offer OpenAI's embeddings."""
    return [ProviderSpec("openai", _embedding, "Embeddings of OpenAI or any compatible endpoint")]


@hookimpl
def neuromem_llms() -> list[ProviderSpec[LLMProvider]]:
    """Offer OpenAI's chat."""
    return [ProviderSpec("openai", _llm, "Chat models of OpenAI, DeepSeek or any compatible endpoint")]


def _embedding(ctx: Context) -> EmbeddingProvider:
    from neuromem_openai.embedding import OpenAIEmbedding

    return OpenAIEmbedding(**_arguments(ctx, *_OPTIONS))


def _llm(ctx: Context) -> LLMProvider:
    from neuromem_openai.llm import OpenAILLM

    return OpenAILLM(**_arguments(ctx, "api_key", "base_url", "timeout"))


def _arguments(ctx: Context, *names: str) -> dict[str, Any]:
    """Return the arguments of a constructor: both classes share one set of options, and each takes those it knows."""
    unknown = sorted(set(ctx.options) - set(_OPTIONS))
    if unknown:
        raise ConfigurationError(
            f"The plugin 'openai' has no option {unknown[0]!r}; it knows {', '.join(_OPTIONS)}."
        )
    chosen = {name: ctx.options[name] for name in names if name in ctx.options}
    return {"env": ctx.env, **chosen, **({"model": ctx.model} if ctx.model else {})}
