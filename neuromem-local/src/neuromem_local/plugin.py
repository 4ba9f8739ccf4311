"""The hooks of neuromem-local; its classes are imported when one of them is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.errors import ConfigurationError
from neuromem.plugin import (
    Context,
    DatabaseProvider,
    EmbeddingProvider,
    Extractor,
    ObjectStorage,
    ProviderSpec,
    StageSpec,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def _database(ctx: Context) -> DatabaseProvider:
    from neuromem_local.paths import default_home
    from neuromem_local.server import EmbeddedPostgres

    return EmbeddedPostgres(**{"home": default_home(ctx.env), **ctx.options.get("database", {})})


def _embedding(ctx: Context) -> EmbeddingProvider:
    from neuromem_local.embedding import LightEmbedding, LocalEmbedding

    if ctx.model in (None, "multilingual-e5-small"):
        return LocalEmbedding(**ctx.options.get("embedding", {}))
    if ctx.model == "light":
        return LightEmbedding()
    raise ConfigurationError(
        f"There is no local embedding model {ctx.model!r}. Choose 'local' (multilingual-e5-small) or "
        "'local:light'."
    )


def _storage(ctx: Context) -> ObjectStorage:
    from neuromem_local.folder import FolderStorage
    from neuromem_local.paths import default_home

    return FolderStorage(**{"root": default_home(ctx.env) / "objects", **ctx.options.get("storage", {})})


@hookimpl
def neuromem_databases() -> Iterable[ProviderSpec[DatabaseProvider]]:
    """Offer the embedded PostgreSQL."""
    return [
        ProviderSpec(
            "local", _database, "PostgreSQL from a wheel, shared by the machine's processes", default=True
        )
    ]


@hookimpl
def neuromem_embeddings() -> Iterable[ProviderSpec[EmbeddingProvider]]:
    """Offer multilingual-e5-small, and a lighter model as ``local:light``."""
    return [
        ProviderSpec(
            "local", _embedding, "multilingual-e5-small on the CPU; light: a 16 MB word table", default=True
        )
    ]


@hookimpl
def neuromem_storages() -> Iterable[ProviderSpec[ObjectStorage]]:
    """Offer a folder."""
    return [ProviderSpec("local", _storage, "a folder of files", default=True)]


def _rules(ctx: Context) -> Extractor:
    from neuromem_local.rules import RulesExtractor

    return RulesExtractor(**ctx.options)


@hookimpl
def neuromem_extractors() -> Iterable[StageSpec[Extractor]]:
    """Offer extraction by rules, which is active when no LLM is chosen."""
    return [StageSpec("rules", _rules, "A few facts, dates and moods without any model; English first")]
