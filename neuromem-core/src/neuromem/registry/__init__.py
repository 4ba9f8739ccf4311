"""Finds plugins, holds them to the rules, and answers what they offer.

``PluginRegistry.discover()`` is the way in. Order never depends on what was discovered first, every error
names plugin, distribution and version, and nothing is kept between two registries.
"""

from __future__ import annotations

from neuromem.registry.manager import PluginRegistry
from neuromem.registry.origin import Chosen, Offer, Origin, PluginRecord
from neuromem.registry.stages import Stages

__all__ = ["Chosen", "Offer", "Origin", "PluginRecord", "PluginRegistry", "Stages"]
