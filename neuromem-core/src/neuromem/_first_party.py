"""What the first-party distributions offer, for one purpose: to say which ``pip install`` is missing.

Tests hold these tables to what the distributions really declare; nothing else in the core knows their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPORTS: Mapping[str, str] = {
    "EmbeddedPostgres": "neuromem-local",
    "FolderStorage": "neuromem-local",
    "LightEmbedding": "neuromem-local",
    "LocalEmbedding": "neuromem-local",
    "OpenAIEmbedding": "neuromem-openai",
    "OpenAILLM": "neuromem-openai",
    "S3Storage": "neuromem-s3",
    "SiliconFlowEmbedding": "neuromem-siliconflow",
}
"""Names importable from ``neuromem`` and the distributions that bring them."""

PROVIDERS: Mapping[str, Mapping[str, str]] = {
    "neuromem_embeddings": {
        "local": "neuromem-local",
        "openai": "neuromem-openai",
        "siliconflow": "neuromem-siliconflow",
    },
    "neuromem_llms": {"openai": "neuromem-openai"},
    "neuromem_storages": {"local": "neuromem-local", "s3": "neuromem-s3"},
    "neuromem_databases": {"local": "neuromem-local"},
}
"""Per hook, the names of the first-party providers and the distributions that bring them."""
