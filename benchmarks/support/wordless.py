"""Fusion as it would be if nobody knew which words of the question a candidate has: one of the ablation's variants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from neuromem.plugin import StageSpec, hookimpl
from neuromem.recall.fusion import CONTEXT, NormalizedFusion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.recall_result import Candidate, Fused
    from neuromem.plugin import Fusion

SHARES = {**CONTEXT, "bm25": (0.4, 0.2)}  # what did best when a word said again counted again


class Wordless:
    """Offers the fusion ``wordless``."""

    @hookimpl
    def neuromem_fusions(self) -> list[StageSpec[Fusion]]:
        """Offer itself."""
        return [StageSpec("wordless", lambda ctx: self, "Counts what neighbors say again")]

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Fuse what is left when candidates do not tell their words."""
        return NormalizedFusion(context=SHARES).fuse(
            {name: [replace(candidate, words=None) for candidate in arm] for name, arm in ranked.items()}
        )
