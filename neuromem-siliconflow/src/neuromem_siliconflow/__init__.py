"""SiliconFlow's embeddings and rerankers, for neuromem."""

from __future__ import annotations

from neuromem_siliconflow.embedding import SiliconFlowEmbedding
from neuromem_siliconflow.reranker import SiliconFlowReranker

__all__ = ["SiliconFlowEmbedding", "SiliconFlowReranker"]
