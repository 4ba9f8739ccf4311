"""Calls the hooks of loaded plugins and checks what they return."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from neuromem.errors import PluginError
from neuromem.plugin.specs import StageSpec
from neuromem.registry.hooks import HOOKS, Hook
from neuromem.registry.loading import BLOCK, capital
from neuromem.registry.origin import Offer

if TYPE_CHECKING:
    from neuromem.registry.loading import Loader
    from neuromem.registry.origin import Origin

Offers = Mapping[str, tuple[Offer[Any], ...]]


def collect(loader: Loader) -> Offers:
    """Return the offers of every hook: stages in the order ``(order, name)``, the others by name."""
    return {hook.name: _distinct(hook, _offers(hook, loader), loader) for hook in HOOKS.values()}


def _offers(hook: Hook[Any], loader: Loader) -> list[Offer[Any]]:
    origins = {origin.plugin: origin for origin in loader.loaded}
    found: list[Offer[Any]] = []
    # Implementation by implementation: the relay's own call would not say who returned or raised what.
    for impl in getattr(loader.manager.hook, hook.name).get_hookimpls():
        origin = origins[impl.plugin_name]
        try:
            found.extend(Offer(hook, spec, origin) for spec in _specs(hook, origin, impl.function))
        except PluginError as error:
            loader.fault(origin, error, error.__cause__)
    return sorted(found, key=_position)


def _specs(hook: Hook[Any], origin: Origin, function: Any) -> list[Any]:
    where = f"{capital(origin)}: {hook.name}()"
    try:
        result = function()
        specs = list(result) if _holds_specs(result) else None
    except Exception as cause:
        raise PluginError(f"{where} failed: {type(cause).__name__}: {cause}") from cause
    if inspect.iscoroutine(result):
        result.close()
        raise PluginError(f"{where} is an async def; a hook is a plain def, what waits is in its objects.")
    if specs is None:
        raise PluginError(
            f"{where} returned {_kind(result)}; return a list of {hook.spec.__name__}, or yield them."
        )
    for spec in specs:
        if not isinstance(spec, hook.spec):
            raise PluginError(f"{where} offered {_kind(spec)}; it takes {hook.spec.__name__} only.")
    return specs


def _holds_specs(result: object) -> bool:
    return isinstance(result, Iterable) and not isinstance(result, (str, bytes, Mapping))


def _distinct(hook: Hook[Any], offers: list[Offer[Any]], loader: Loader) -> tuple[Offer[Any], ...]:
    """Leave out what has one name twice; who wins must not depend on who was found first."""
    named: dict[str, list[Offer[Any]]] = defaultdict(list)
    for offer in offers:
        named[offer.spec.name].append(offer)
    for name, same in named.items():
        if len(same) > 1:
            error = PluginError(
                f"The {hook.noun} {name!r} is offered {len(same)} times: "
                f"by {' and by '.join(str(offer.origin) for offer in same)}. "
                f"Uninstall one of them, or block it by its plugin's name in {BLOCK}."
            )
            for offer in same:
                loader.fault(offer.origin, error)
    return tuple(offer for offer in offers if len(named[offer.spec.name]) == 1)


def _position(offer: Offer[Any]) -> tuple[int, str, Origin]:
    spec = offer.spec
    return (spec.order if isinstance(spec, StageSpec) else 0, spec.name, offer.origin)


def _kind(value: object) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r:.80}"
