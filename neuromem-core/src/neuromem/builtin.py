"""The core's own stages, offered through the same hooks as everybody else's.

What is known of a stage beyond its work stands here, on its `StageSpec`; no other module of the core knows one by name,
but for `neuromem.recall.response`, where the keys of the answer are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.plugin.markers import hookimpl
from neuromem.plugin.specs import StageSpec

if TYPE_CHECKING:
    from neuromem.plugin.context import Context
    from neuromem.plugin.stages import Extractor, Fusion, Retriever, Scorer


@hookimpl
def neuromem_extractors() -> list[StageSpec[Extractor]]:
    """Offer extraction by the chosen LLM; it is in force whenever there is one and no other extractor is named."""

    def build(ctx: Context) -> Extractor:
        from neuromem.ingest.extraction.llm_extractor import LLMExtractor

        return LLMExtractor(ctx.llm, **ctx.options)

    return [StageSpec("llm", build, "Extracts with the chosen LLM")]


@hookimpl
def neuromem_retrievers() -> list[StageSpec[Retriever]]:
    """Offer retrieval by words, by vectors, by relations, and of the turns around.

    The numbers were measured with `benchmarks/retrieval.py`; `benchmarks/README.md` says what each part gives.
    """
    from neuromem.recall.retrievers import (
        ConversationRetriever,
        GraphRetriever,
        LexicalRetriever,
        VectorRetriever,
    )

    return [
        StageSpec(
            "bm25",
            lambda ctx: LexicalRetriever(),
            "Finds by words: exact BM25",
            10,
            default=True,
            weight=1.0,
            # Words of an answer often stand in the question before it.
            neighbor_weights=(0.7, 0.4),
            absolute=True,
        ),
        StageSpec(
            "vector",
            lambda ctx: VectorRetriever(),
            "Finds by meaning: cosine",
            20,
            default=True,
            weight=1.75,
            # Meaning spreads less than words do.
            neighbor_weights=(0.2, 0.1),
            missing_score="mean",
            smallest_spread=0.25,
            # The vectors of a message and of what was derived from it are much alike.
            shared_weight=0.15,
            uses_vectors=True,
        ),
        StageSpec(
            "graph",
            lambda ctx: GraphRetriever(),
            "Follows the relations it names",
            25,
            default=True,
            weight=0.3,
            absolute=True,
            uses_relations=True,
        ),
        StageSpec(
            "conversation",
            lambda ctx: ConversationRetriever(),
            "Adds the turns around",
            30,
            default=True,
            # It finds places that the neighbor weights of others fill.
            weight=0.0,
        ),
    ]


@hookimpl
def neuromem_fusions() -> list[StageSpec[Fusion]]:
    """Offer the fusion of normalized scores, and of ranks."""
    from neuromem.recall.fusion import NormalizedFusion
    from neuromem.recall.rank_fusion import ReciprocalRankFusion

    return [
        StageSpec(
            "normalized",
            lambda ctx: NormalizedFusion(ctx.retrievers, **ctx.options),
            "Adds normalized scores",
            default=True,
        ),
        StageSpec(
            "rrf", lambda ctx: ReciprocalRankFusion(ctx.retrievers, **ctx.options), "Reciprocal rank fusion"
        ),
    ]


@hookimpl
def neuromem_scorers() -> list[StageSpec[Scorer]]:
    """Offer the signals beside relevance."""
    from neuromem.recall import scoring

    return [
        StageSpec(
            "recency",
            lambda ctx: scoring.RecencyScorer(**ctx.options),
            "How fresh it is",
            10,
            default=True,
            weight=0.01,
        ),
        StageSpec(
            "speaker",
            lambda ctx: scoring.SpeakerScorer(),
            "Whether who said it is named",
            15,
            default=True,
            weight=0.14,
        ),
        StageSpec(
            "statement",
            lambda ctx: scoring.StatementScorer(),
            "Whether it states or asks",
            16,
            default=True,
            weight=0.085,
        ),
        StageSpec(
            "opening",
            lambda ctx: scoring.OpeningScorer(),
            "Whether it opens a session",
            17,
            default=True,
            weight=0.02,
        ),
        StageSpec(
            "graph_coverage",
            lambda ctx: scoring.GraphScorer("graph"),
            "Whether relations lead to it",
            18,
            default=True,
            weight=0.05,
        ),
        StageSpec(
            "time",
            lambda ctx: scoring.TimeScorer(),
            "How near to the times that are named",
            19,
            default=True,
            weight=0.25,
        ),
        StageSpec(
            "importance",
            lambda ctx: scoring.ImportanceScorer(),
            "How much it matters",
            20,
            default=True,
            weight=0.04,
        ),
        StageSpec(
            "emotion",
            lambda ctx: scoring.EmotionScorer(),
            "How strong the emotion is",
            30,
            default=True,
            weight=0.01,
        ),
    ]
