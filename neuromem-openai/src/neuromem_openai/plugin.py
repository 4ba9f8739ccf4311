"""What neuromem-openai offers; nothing is loaded before one of the two is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.plugin import EmbeddingProvider, LLMProvider, ProviderSpec, hookimpl

if TYPE_CHECKING:
    from neuromem.plugin import Context


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

    return OpenAIEmbedding(**_arguments(ctx))


def _llm(ctx: Context) -> LLMProvider:
    from neuromem_openai.llm import OpenAILLM

    return OpenAILLM(**_arguments(ctx))


def _arguments(ctx: Context) -> dict[str, Any]:
    """Options are the arguments of the constructor; the name's model comes before them."""
    return {"env": ctx.env, **ctx.options, **({"model": ctx.model} if ctx.model else {})}
