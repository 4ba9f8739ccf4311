"""The public names of ``neuromem``, imported when they are first asked for.

The core's own are listed here. Distributions add theirs through the entry-point group ``neuromem.exports``::

    [project.entry-points."neuromem.exports"]
    AcmeEmbedding = "neuromem_acme:AcmeEmbedding"

after which ``from neuromem import AcmeEmbedding`` works. A name of the core is never replaced.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from neuromem._entry_points import entry_points, version
from neuromem._first_party import EXPORTS

GROUP = "neuromem.exports"

_MODULES = {
    "neuromem.config": ("Settings",),
    "neuromem.domain.insights": ("DigestProgress", "DigestResult", "EmotionProfile", "Insight"),
    "neuromem.domain.documents": ("Document", "FileType", "Passage"),
    "neuromem.domain.extraction": (
        "ExtractedMemory",
        "ExtractedRelation",
        "Extraction",
        "ExtractionStrategy",
        "Window",
    ),
    "neuromem.domain.graph": ("Edge", "EdgeType", "GraphChange", "GraphPath", "Neighbor", "Node", "NodeType"),
    "neuromem.domain.memories": ("Memory", "MemoryVersion"),
    "neuromem.domain.memory_types": ("MemoryType",),
    "neuromem.domain.messages": ("ExtractionState", "Message", "MessageDict", "Role", "Session"),
    "neuromem.domain.kv": ("KVItem",),
    "neuromem.domain.query": ("DocumentFilter", "Filters", "Kind", "Query"),
    "neuromem.domain.recall_result": (
        "Candidate",
        "Fused",
        "GraphItem",
        "RecallItem",
        "RecallResult",
        "RetrievedItem",
    ),
    "neuromem.errors": (
        "AuthenticationError",
        "BudgetError",
        "ClosedError",
        "ConfigurationError",
        "ConflictError",
        "DatabaseError",
        "DatabaseUnavailableError",
        "EmbeddingSpaceError",
        "InputError",
        "MigrationError",
        "NeuroMemError",
        "NotFoundError",
        "PluginError",
        "ProviderError",
        "ProviderResponseError",
        "ProviderUnavailableError",
        "RateLimitError",
        "RecallError",
        "StorageError",
    ),
    "neuromem.memory": ("NeuroMemory",),
    "neuromem.plugin.markers": ("hookimpl",),
    "neuromem.plugin.providers": (
        "ChatMessage",
        "ChatReply",
        "DatabaseProvider",
        "EmbeddingProvider",
        "LLMProvider",
        "ObjectStorage",
    ),
    "neuromem.registry": ("PluginRegistry",),
}

CORE = {name: module for module, names in _MODULES.items() for name in names}
"""Every name of the core and the module that defines it."""


def names() -> list[str]:
    """Return every public name that this installation has."""
    return sorted({*CORE, *(point.name for point in entry_points(GROUP))})


def resolve(name: str) -> Any:
    """Import a public name.

    Raises `AttributeError` when there is no such name, `ImportError` when the distribution that brings it is
    missing, cannot be imported, or shares the name with another.
    """
    if name == "__all__":
        return names()
    if name == "__version__":
        return version("neuromem")
    if name in CORE:
        return getattr(import_module(CORE[name]), name)
    return _foreign(name)


def _foreign(name: str) -> Any:
    found = [point for point in entry_points(GROUP) if point.name == name]
    if len(found) == 1:
        point = found[0]
        try:
            return point.load()
        except (ImportError, AttributeError) as cause:
            raise ImportError(
                f"{name!r} cannot be imported from {point.value!r} of {point.distribution} {point.version}: "
                f"{type(cause).__name__}: {cause}. Mend or reinstall that distribution.",
                name="neuromem",
            ) from cause
    if found:
        owners = " and ".join(f"{point.distribution} {point.version}" for point in found)
        raise ImportError(f"{name!r} is exported by {owners}: uninstall one of them.", name="neuromem")
    if name in EXPORTS:
        raise ImportError(
            f"{name!r} is not installed: `pip install {EXPORTS[name]}` brings it.", name="neuromem"
        )
    raise AttributeError(f"module 'neuromem' has no attribute {name!r}")
