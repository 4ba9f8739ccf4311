"""What neuromem finds of this distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.plugin import (
    CommandSpec,
    Context,
    EmbeddingProvider,
    ProviderSpec,
    Retriever,
    Scorer,
    StageSpec,
    hookimpl,
)
from neuromem_acme.embedding import AcmeEmbedding
from neuromem_acme.stages import Abbreviations, Nicknames, Statements

if TYPE_CHECKING:
    import click


def build_embedding(ctx: Context) -> AcmeEmbedding:
    """Return the embedding; ``acme:other`` names another model."""
    return AcmeEmbedding(ctx.model or "pairs")


def build_command() -> click.Command:
    """Return the command; click is there because the core's command line needs it."""
    import click

    return click.Command("acme-hello", callback=lambda: click.echo("Hello from neuromem-acme"))


@hookimpl
def neuromem_embeddings() -> list[ProviderSpec[EmbeddingProvider]]:
    """Offer the embedding."""
    return [ProviderSpec("acme", build_embedding, "Pairs of letters, counted")]


@hookimpl
def neuromem_retrievers() -> list[StageSpec[Retriever]]:
    """Offer a retriever that is active where it is installed, and one that says how its list is to be read."""
    return [
        StageSpec("abbreviations", lambda ctx: Abbreviations(), "Spells them out", 30, default=True),
        StageSpec(
            "nicknames",
            lambda ctx: Nicknames(),
            "Knows full names",
            31,
            weight=3.0,
            neighbor_weights=(0.6,),
            absolute=True,
        ),
    ]


@hookimpl
def neuromem_scorers() -> list[StageSpec[Scorer]]:
    """Offer the scorer, active where it is installed."""
    return [StageSpec("statements", lambda ctx: Statements(), "Prefers statements", default=True)]


@hookimpl
def neuromem_commands() -> list[CommandSpec]:
    """Offer a subcommand."""
    return [CommandSpec("acme-hello", build_command, "Says hello")]
