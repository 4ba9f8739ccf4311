"""What ``neuromem plugins`` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from neuromem.registry.collecting import Offers
    from neuromem.registry.origin import PluginRecord


class OfferReport(TypedDict):
    """One thing on offer; ``active`` says whether it takes part as things are set now."""

    hook: str
    name: str
    summary: str
    active: bool


class PluginReport(TypedDict):
    """One plugin; ``distribution`` and ``version`` are empty for an object given to the constructor."""

    name: str
    distribution: str
    version: str
    state: Literal["loaded", "broken", "blocked"]
    error: str | None
    offers: list[OfferReport]


def report(
    records: Iterable[PluginRecord], offers: Offers, active: Collection[tuple[str, str]]
) -> list[PluginReport]:
    """Return one entry per plugin; ``active`` holds the hook and name of what takes part."""
    return [
        PluginReport(
            name=record.origin.plugin,
            distribution=record.origin.distribution,
            version=record.origin.version,
            state=record.state,
            error=None if record.error is None else str(record.error),
            offers=[
                OfferReport(
                    hook=hook,
                    name=offer.spec.name,
                    summary=offer.spec.summary,
                    active=(hook, offer.spec.name) in active,
                )
                for hook, offered in offers.items()
                for offer in offered
                if offer.origin == record.origin
            ],
        )
        for record in records
    ]
