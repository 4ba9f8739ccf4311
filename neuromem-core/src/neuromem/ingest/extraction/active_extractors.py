"""Chooses the active extractors: those named in the settings, else the LLM's, else rules that need no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from neuromem.plugin.context import Clock
    from neuromem.plugin.providers import LLMProvider
    from neuromem.plugin.stages import Extractor
    from neuromem.registry import PluginRegistry
    from neuromem.registry.stages import Stages

LLM, RULES = "llm", "rules"


def choose_extractors(
    registry: PluginRegistry, stages: Stages, disabled: Collection[str], llm: LLMProvider | None, clock: Clock
) -> dict[str, Extractor]:
    """Return the active extractors by name; none when there is neither an LLM nor a plugin with rules."""
    offers = list(stages.extractors)
    if not offers:
        usual = LLM if llm is not None else RULES
        offers = [
            offer for offer in registry.extractors() if offer.spec.name == usual and usual not in disabled
        ]
    return {offer.spec.name: registry.build(offer, clock=clock, llm=llm) for offer in offers}
