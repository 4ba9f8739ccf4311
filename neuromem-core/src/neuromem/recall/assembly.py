"""Builds the pipeline from the active stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.recall.checked_retriever import CheckedRetriever
from neuromem.recall.pipeline import Pipeline
from neuromem.recall.results import Weighted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.config import Settings
    from neuromem.plugin.context import Clock
    from neuromem.plugin.specs import StageSpec
    from neuromem.plugin.stages import Retriever, Scorer
    from neuromem.registry import PluginRegistry, Stages
    from neuromem.registry.origin import Offer

SCORER_WEIGHT = 0.05  # of a scorer whose StageSpec and settings give none: it nudges and does not take over


def assemble(registry: PluginRegistry, stages: Stages, settings: Settings, clock: Clock) -> Pipeline:
    """Return the pipeline of the active stages."""
    specs = {offer.spec.name: offer.spec for offer in stages.retrievers}
    return Pipeline(
        retrievers={offer.spec.name: _retriever(registry, offer, clock) for offer in stages.retrievers},
        fusion=registry.build(stages.fusion, clock=clock, retrievers=specs),
        scorers={
            offer.spec.name: Weighted(
                registry.build(offer, clock=clock), scorer_weight(offer.spec, settings.recall.scorer_weights)
            )
            for offer in stages.scorers
        },
        rerankers={offer.spec.name: registry.build(offer, clock=clock) for offer in stages.rerankers},
        timeout=settings.recall.timeout,
        uses_vectors={name for name, spec in specs.items() if spec.uses_vectors},
        uses_relations={name for name, spec in specs.items() if spec.uses_relations},
    )


def scorer_weight(spec: StageSpec[Scorer], weights: Mapping[str, float]) -> float:
    """Return what a scorer's signal of 1 adds to a fused score: by ``weights``, else by its descriptor."""
    own = SCORER_WEIGHT if spec.weight is None else spec.weight
    return weights.get(spec.name, own)


def _retriever(registry: PluginRegistry, offer: Offer[StageSpec[Retriever]], clock: Clock) -> Retriever:
    """Build a retriever; what one from outside the core returns is checked."""
    retriever = registry.build(offer, clock=clock)
    return retriever if offer.origin.core else CheckedRetriever(retriever)
