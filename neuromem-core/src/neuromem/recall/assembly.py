"""Builds the pipeline from what the registry has discovered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.recall.pipeline import Pipeline, Weighted
from neuromem.recall.plugin_retriever import ForeignRetriever

if TYPE_CHECKING:
    from neuromem.config import Settings
    from neuromem.plugin.context import Clock
    from neuromem.plugin.specs import StageSpec
    from neuromem.plugin.stages import Retriever
    from neuromem.registry import PluginRegistry, Stages
    from neuromem.registry.origin import Offer

# What each built-in signal adds to a fused score in [0, 1]; a plugin's without a weight in settings gets OTHER.
WEIGHTS = {
    "speaker": 0.14,
    "statement": 0.085,
    "opening": 0.02,
    "graph_coverage": 0.05,
    "time": 0.25,
    "recency": 0.01,
    "importance": 0.04,
    "emotion": 0.01,
}
OTHER = 0.05
OURS = "neuromem"  # the distribution that the built-in stages come with


def assemble(registry: PluginRegistry, stages: Stages, settings: Settings, clock: Clock) -> Pipeline:
    """Return the pipeline of the active stages."""
    weights = {**WEIGHTS, **settings.recall.scorer_weights}
    return Pipeline(
        retrievers={offer.spec.name: _retriever(registry, offer, clock) for offer in stages.retrievers},
        fusion=registry.build(stages.fusion, clock=clock),
        scorers={
            offer.spec.name: Weighted(registry.build(offer, clock=clock), weights.get(offer.spec.name, OTHER))
            for offer in stages.scorers
        },
        rerankers={offer.spec.name: registry.build(offer, clock=clock) for offer in stages.rerankers},
        timeout=settings.recall.timeout,
    )


def _retriever(registry: PluginRegistry, offer: Offer[StageSpec[Retriever]], clock: Clock) -> Retriever:
    """Build a retriever; what one that is not ours brings is checked."""
    retriever = registry.build(offer, clock=clock)
    return retriever if offer.origin.distribution == OURS else ForeignRetriever(retriever)
