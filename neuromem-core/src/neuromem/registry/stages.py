"""Which stages are active: those with ``default=True``, plus the enabled, minus the disabled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from neuromem.errors import ConfigurationError
from neuromem.registry.hooks import (
    EXTRACTORS,
    FUSIONS,
    OBSERVERS,
    RERANKERS,
    RETRIEVERS,
    SCORERS,
    STAGE_HOOKS,
)
from neuromem.registry.loading import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neuromem.plugin.specs import StageSpec
    from neuromem.plugin.stages import Extractor, Fusion, Observer, Reranker, Retriever, Scorer
    from neuromem.registry.collecting import Offers
    from neuromem.registry.hooks import Hook
    from neuromem.registry.not_found import NotFoundErrors
    from neuromem.registry.origin import Offer

S = TypeVar("S", bound="StageSpec[Any]")


@dataclass(frozen=True, slots=True)
class Stages:
    """The active stages, each hook's in the order in which they run."""

    extractors: tuple[Offer[StageSpec[Extractor]], ...]
    retrievers: tuple[Offer[StageSpec[Retriever]], ...]
    fusion: Offer[StageSpec[Fusion]]
    scorers: tuple[Offer[StageSpec[Scorer]], ...]
    rerankers: tuple[Offer[StageSpec[Reranker]], ...]
    observers: tuple[Offer[StageSpec[Observer]], ...]

    def __iter__(self) -> Iterator[Offer[StageSpec[Any]]]:
        """Go through all of them."""
        yield from self.extractors
        yield from self.retrievers
        yield self.fusion
        yield from self.scorers
        yield from self.rerankers
        yield from self.observers


class Switchboard:
    """Decides which of the offered stages are active; every name that is not offered is an error."""

    def __init__(
        self, offers: Offers, missing: NotFoundErrors, enable: Sequence[str], disable: Sequence[str]
    ) -> None:
        self._offers = offers
        self._missing = missing
        self._enable = frozenset(enable)
        self._disable = frozenset(disable)
        known = [offer.spec.name for hook in STAGE_HOOKS for offer in offers[hook.name]]
        for setting, names in (("enable", self._enable), ("disable", self._disable)):
            for name in sorted(names - set(known)):
                raise missing.error(
                    f"The setting {setting!r} names {name!r}, but no plugin offers a stage of that name"
                    f"{did_you_mean(name, known)}"
                )
        if both := sorted(self._enable & self._disable):
            raise ConfigurationError(
                f"The settings both enable and disable {', '.join(map(repr, both))}: choose."
            )

    def active(self, hook: Hook[S], named: Sequence[str] = ()) -> tuple[Offer[S], ...]:
        """Return the stages called ``named`` in that order, or without names the active ones in theirs."""
        offers = self._offers[hook.name]
        if not named:
            return tuple(offer for offer in offers if self._on(offer.spec))
        by_name = {offer.spec.name: offer for offer in offers}
        for name in named:
            if name not in by_name:
                raise self._missing.offer(hook, name)
            if name in self._disable:
                raise ConfigurationError(
                    f"The settings both name and disable the {hook.noun} {name!r}: choose."
                )
        return tuple(by_name[name] for name in dict.fromkeys(named))

    def fusion(self, named: str | None) -> Offer[StageSpec[Fusion]]:
        """Return the one fusion that is active."""
        active = self.active(FUSIONS, [named] if named else [])
        if len(active) == 1:
            return active[0]
        if not active:
            raise self._missing.error(
                f"No fusion is active. {self._missing.installed(FUSIONS)} Name one in settings.recall.fusion."
            )
        raise ConfigurationError(
            f"{len(active)} fusions are active, {' and '.join(map(str, active))}, but exactly one can be: "
            f"name it in settings.recall.fusion, or disable the others."
        )

    def stages(self, extractors: Sequence[str], fusion: str | None, rerankers: Sequence[str]) -> Stages:
        """Return everything that is active."""
        return Stages(
            extractors=self.active(EXTRACTORS, extractors),
            retrievers=self.active(RETRIEVERS),
            fusion=self.fusion(fusion),
            scorers=self.active(SCORERS),
            rerankers=self.active(RERANKERS, rerankers),
            observers=self.active(OBSERVERS),
        )

    def _on(self, spec: StageSpec[Any]) -> bool:
        return (spec.default or spec.name in self._enable) and spec.name not in self._disable
