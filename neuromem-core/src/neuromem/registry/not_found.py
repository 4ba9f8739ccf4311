"""The errors for what was asked for and not found: what is installed, what could be, which broken plugin had it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem._first_party import PROVIDERS
from neuromem.errors import ConfigurationError, PluginError
from neuromem.registry.loading import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.registry.collecting import Offers
    from neuromem.registry.hooks import Hook
    from neuromem.registry.origin import PluginRecord


class NotFoundErrors:
    """Makes the errors for what was asked for and not found."""

    def __init__(self, offers: Offers, records: Sequence[PluginRecord]) -> None:
        self._offers = offers
        self._broken = [record for record in records if record.state == "broken"]

    def offer(self, hook: Hook[Any], name: str) -> ConfigurationError | PluginError:
        """Return the error for a name that no plugin offers in this hook."""
        installed = [offer.spec.name for offer in self._offers[hook.name]]
        known = PROVIDERS.get(hook.name, {})
        if name in known:
            end = f"; `pip install {known[name]}` brings it."
        else:
            end = did_you_mean(name, sorted({*installed, *known}))
        return self.error(f"No plugin offers the {hook.noun} {name!r}{end} {self.installed(hook)}")

    def installed(self, hook: Hook[Any]) -> str:
        """Return a sentence that lists what is installed, and one with what is not but could be."""
        offers = self._offers[hook.name]
        listed = ", ".join(map(str, offers)) or "nothing of this kind"
        names = {offer.spec.name for offer in offers}
        more = sorted({dist for name, dist in PROVIDERS.get(hook.name, {}).items() if name not in names})
        install = f" To have more: `pip install {'` or `pip install '.join(more)}`." if more else ""
        return f"Installed: {listed}.{install}"

    def error(self, message: str) -> ConfigurationError | PluginError:
        """Return the error; when plugins are broken they may have offered it, so their cause is chained."""
        if not self._broken:
            return ConfigurationError(message)
        errors = [record.error for record in self._broken if record.error is not None]
        error = PluginError(f"{message} A broken plugin may have offered it: {' '.join(map(str, errors))}")
        error.__cause__ = errors[0] if len(errors) == 1 else ExceptionGroup("broken plugins", errors)
        return error
