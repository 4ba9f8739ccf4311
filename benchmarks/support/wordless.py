"""Fusion as it would be if nobody knew which words of the question a candidate has: one of the ablation's variants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from neuromem.plugin import StageSpec, hookimpl
from neuromem.recall.fusion import NormalizedFusion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.recall_result import Candidate, Fused
    from neuromem.plugin import Context, Fusion

REPEATED = {"bm25": (0.4, 0.2)}  # neighbor weights that did best when a word said again counted again


class Wordless:
    """Offers the fusion ``wordless``."""

    def __init__(self) -> None:
        self._fusion: Fusion = NormalizedFusion()

    @hookimpl
    def neuromem_fusions(self) -> list[StageSpec[Fusion]]:
        """Offer itself."""
        return [StageSpec("wordless", self._build, "Counts what neighbors say again")]

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Fuse what is left when candidates do not tell their words."""
        return self._fusion.fuse(
            {name: [replace(candidate, words=None) for candidate in found] for name, found in ranked.items()}
        )

    def _build(self, ctx: Context) -> Fusion:
        own = {name: traits.neighbor_weights for name, traits in ctx.retrievers.items()}
        context = {name: shares for name, shares in {**own, **REPEATED}.items() if shares}
        self._fusion = NormalizedFusion(ctx.retrievers, context=context)
        return self
