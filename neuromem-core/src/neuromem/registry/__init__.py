"""The plugins: loads them, checks that they keep to the hooks, and returns what they offer.

It may import `plugin` and what lies below. Begin with ``PluginRegistry.discover()`` in `manager.py`: `loading` imports,
`collecting` calls the hooks, `choosing` builds providers, `stages` decides which stages are active; order never depends
on what was found first, and every error names plugin, distribution and version.
"""

from __future__ import annotations

from neuromem.registry.manager import PluginRegistry
from neuromem.registry.origin import Chosen, Offer, Origin, PluginRecord
from neuromem.registry.stages import Stages

__all__ = ["Chosen", "Offer", "Origin", "PluginRecord", "PluginRegistry", "Stages"]
