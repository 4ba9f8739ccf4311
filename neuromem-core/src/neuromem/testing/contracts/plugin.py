"""The contract of a plugin as a whole: what it declares, offers and builds."""

from __future__ import annotations

from typing import Any

from neuromem._entry_points import entry_points
from neuromem.cli.plugin_kit.distribution_check import Finding, check_distribution, check_offers
from neuromem.registry import PluginRegistry
from neuromem.registry.hooks import HOOKS
from neuromem.testing.contracts.base import missing


class PluginContract:
    """Set ``distribution`` to the name of your distribution, or ``plugin`` to an object that is not installed.

    The same checks as ``neuromem plugins check``, and that the hooks say the same whenever they are asked.
    """

    distribution: str | None = None
    plugin: object = None

    def discover(self) -> PluginRegistry:
        """Return a registry that holds the plugin; whatever breaks a rule raises."""
        return PluginRegistry.discover([] if self.plugin is None else [self.plugin], env={})

    def findings(self) -> list[Finding]:
        """Return what the checks found."""
        if self.distribution is not None:
            return check_distribution(self.distribution)
        if self.plugin is None:
            missing("`distribution` or `plugin`")
        return list(check_offers(offer for offer in self.offers() if not offer.origin.distribution))

    def offers(self) -> list[Any]:
        """Return everything that is offered by anybody."""
        registry = self.discover()
        return [offer for hook in HOOKS for offer in getattr(registry, hook.removeprefix("neuromem_"))()]

    def test_it_passes_every_check(self) -> None:
        """Metadata, types, exports, loading, cost of the hooks, descriptors, factories, secrets."""
        problems = [finding for finding in self.findings() if finding.problem is not None]
        assert not problems, "\n".join(f"{finding.check}: {finding.problem}" for finding in problems)

    def test_its_hooks_offer_the_same_whenever_they_are_asked(self) -> None:
        """What is on offer does not depend on the moment."""
        first, again = ([str(offer) for offer in self.offers()] for _ in range(2))
        assert first == again

    def test_it_does_not_need_its_neighbors(self) -> None:
        """With every other plugin but the core's blocked, it still loads."""
        others = {
            point.name
            for point in entry_points("neuromem")
            if point.distribution not in {self.distribution, "neuromem"}
        }
        env = {"NEUROMEM_DISABLE_PLUGINS": ",".join(sorted(others))}
        registry = PluginRegistry.discover([] if self.plugin is None else [self.plugin], env=env)
        assert {record.state for record in registry.records} <= {"loaded", "blocked"}
