"""neuromem without a server, a key or a container.

An embedded PostgreSQL, a local embedding model and a folder as object storage, all from wheels. Importing
this package imports none of them: each name is resolved when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuromem_local.embedding import LightEmbedding, LocalEmbedding
    from neuromem_local.folder import FolderStorage
    from neuromem_local.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "FolderStorage", "LightEmbedding", "LocalEmbedding"]

_HOMES = {
    "EmbeddedPostgres": "neuromem_local.server",
    "FolderStorage": "neuromem_local.folder",
    "LightEmbedding": "neuromem_local.embedding",
    "LocalEmbedding": "neuromem_local.embedding",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
