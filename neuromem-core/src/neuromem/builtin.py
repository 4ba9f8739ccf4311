"""The core's own stages, offered through the same hooks as everybody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.plugin.markers import hookimpl
from neuromem.plugin.specs import StageSpec

if TYPE_CHECKING:
    from neuromem.plugin.context import Context
    from neuromem.plugin.stages import Extractor, Fusion, Retriever, Scorer


@hookimpl
def neuromem_extractors() -> list[StageSpec[Extractor]]:
    """Offer extraction by the LLM that was chosen; it is in force whenever there is one and no other is named."""

    def build(ctx: Context) -> Extractor:
        from neuromem.ingest.extraction.llm_extractor import LLMExtractor

        return LLMExtractor(ctx.llm, **ctx.options)

    return [StageSpec("llm", build, "Extracts with the chosen LLM")]


@hookimpl
def neuromem_retrievers() -> list[StageSpec[Retriever]]:
    """Offer retrieval by vectors and by words."""
    from neuromem.recall.retrievers import (
        ConversationRetriever,
        GraphRetriever,
        LexicalRetriever,
        VectorRetriever,
    )

    return [
        StageSpec("bm25", lambda ctx: LexicalRetriever(), "Finds by words: exact BM25", 10, default=True),
        StageSpec("vector", lambda ctx: VectorRetriever(), "Finds by meaning: cosine", 20, default=True),
        StageSpec("graph", lambda ctx: GraphRetriever(), "Follows the relations it names", 25, default=True),
        StageSpec(
            "conversation", lambda ctx: ConversationRetriever(), "Adds the turns around", 30, default=True
        ),
    ]


@hookimpl
def neuromem_fusions() -> list[StageSpec[Fusion]]:
    """Offer the fusion of normalized scores, and of ranks."""
    from neuromem.recall.fusion import NormalizedFusion, ReciprocalRankFusion

    return [
        StageSpec(
            "normalized", lambda ctx: NormalizedFusion(**ctx.options), "Adds normalized scores", default=True
        ),
        StageSpec("rrf", lambda ctx: ReciprocalRankFusion(**ctx.options), "Reciprocal rank fusion"),
    ]


@hookimpl
def neuromem_scorers() -> list[StageSpec[Scorer]]:
    """Offer the signals beside relevance."""
    from neuromem.recall import scoring

    return [
        StageSpec(
            "recency", lambda ctx: scoring.RecencyScorer(**ctx.options), "How fresh it is", 10, default=True
        ),
        StageSpec(
            "speaker", lambda ctx: scoring.SpeakerScorer(), "Whether who said it is named", 15, default=True
        ),
        StageSpec(
            "statement", lambda ctx: scoring.StatementScorer(), "Whether it states or asks", 16, default=True
        ),
        StageSpec(
            "opening", lambda ctx: scoring.OpeningScorer(), "Whether it opens a session", 17, default=True
        ),
        StageSpec(
            "graph_coverage",
            lambda ctx: scoring.GraphScorer(),
            "Whether relations lead to it",
            18,
            default=True,
        ),
        StageSpec(
            "time", lambda ctx: scoring.TimeScorer(), "How near to the times that are named", 19, default=True
        ),
        StageSpec(
            "importance", lambda ctx: scoring.ImportanceScorer(), "How much it matters", 20, default=True
        ),
        StageSpec(
            "emotion", lambda ctx: scoring.EmotionScorer(), "How strong the emotion is", 30, default=True
        ),
    ]
