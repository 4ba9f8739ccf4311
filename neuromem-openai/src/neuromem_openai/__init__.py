"""OpenAI and everything that speaks like it, for neuromem."""

from __future__ import annotations

from neuromem_openai.embedding import OpenAIEmbedding
from neuromem_openai.llm import OpenAILLM

__all__ = ["OpenAIEmbedding", "OpenAILLM"]
