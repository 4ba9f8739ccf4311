"""Chooses a provider (the instance, the name, the environment's name, or the one default) and builds it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from neuromem.errors import ConfigurationError, NeuroMemError, PluginError
from neuromem.plugin.context import Context
from neuromem.registry.origin import Chosen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.plugin.specs import ProviderSpec, StageSpec
    from neuromem.registry.collecting import Offers
    from neuromem.registry.hooks import Hook
    from neuromem.registry.not_found import NotFoundErrors
    from neuromem.registry.origin import Offer

T = TypeVar("T")

NOTHING = "none"

_KEY_OR_ADDRESS = re.compile(
    r"SECRET|PASSW|CREDENTIAL|(^|_)(API)?(KEY|TOKEN|URL|URI|ENDPOINT)(_|$)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Selected(Generic[T]):
    """An offer that was selected, with the model its name carried, and whether nobody had named it."""

    offer: Offer[ProviderSpec[T]]
    model: str | None = None
    by_default: bool = False


class Chooser:
    """Chooses among the offers of the provider hooks."""

    def __init__(
        self,
        offers: Offers,
        missing: NotFoundErrors,
        env: Mapping[str, str],
        options: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._offers = offers
        self._missing = missing
        self._env = env
        self._options = options

    def choose(self, hook: Hook[ProviderSpec[T]], choice: T | str | None) -> Chosen[T] | None:
        """Return the provider that was handed in, or build the selected one; None when there is none."""
        if choice is not None and not isinstance(choice, str):
            return _handed_in(hook, choice)
        selected = self.select(hook, choice or (self._env.get(hook.variable) if hook.by_name else None))
        if selected is None:
            return None
        # A default was not asked for: it must do without what could send data anywhere.
        env = _without_keys(self._env) if selected.by_default else self._env
        context = Context(model=selected.model, options=self.options(selected.offer), env=env)
        return Chosen(build(selected.offer, context), selected.offer)

    def require(self, hook: Hook[ProviderSpec[T]], choice: T | str | None) -> Chosen[T]:
        """Like `choose`, but when there is none, raise an error that lists what is installed."""
        chosen = self.choose(hook, choice)
        if chosen is None:
            raise self._missing.error(
                f"There is no {hook.noun}: no installed plugin offers one as the default, so give "
                f"{hook.argument}= or set {hook.variable}. {self._missing.installed(hook)}"
            )
        return chosen

    def select(self, hook: Hook[ProviderSpec[T]], choice: str | None) -> Selected[T] | None:
        """Return the offer called ``name`` or ``name:model``, else the one default; None for ``none``."""
        if choice == NOTHING:
            return None
        if not choice:
            return self._default(hook)
        name, _, model = choice.partition(":")
        for offer in self._offers[hook.name]:
            if offer.spec.name == name:
                return Selected(offer, model or None)
        raise self._missing.offer(hook, name)

    def options(self, offer: Offer[Any]) -> Mapping[str, Any]:
        """Return what the settings say to the factory of this offer."""
        return self._options.get(offer.spec.name, {})

    def _default(self, hook: Hook[ProviderSpec[T]]) -> Selected[T] | None:
        defaults = [offer for offer in self._offers[hook.name] if offer.spec.default]
        if len(defaults) > 1:
            raise ConfigurationError(
                f"More than one {hook.noun} is offered as the default: {' and '.join(map(str, defaults))}. "
                f"Give {hook.argument}= or set {hook.variable}, or block one of the plugins."
            )
        return Selected(defaults[0], by_default=True) if defaults else None


def build(offer: Offer[ProviderSpec[T]] | Offer[StageSpec[T]], context: Context) -> T:
    """Call the factory and check what it built; errors of neuromem's own tree come through as they are."""
    try:
        product = offer.spec.factory(context)
    except NeuroMemError:
        raise
    except Exception as cause:
        raise PluginError(
            f"The {offer.hook.noun} {offer} cannot be built: {type(cause).__name__}: {cause}"
        ) from cause
    if (fault := offer.hook.fault(product)) is not None:
        raise PluginError(
            f"The {offer.hook.noun} {offer} cannot be used, because its factory returned an object of "
            f"{type(product).__name__}: {fault}."
        )
    return product


def _handed_in(hook: Hook[ProviderSpec[T]], value: T) -> Chosen[T]:
    if (fault := hook.fault(value)) is not None:
        what = (
            f"The class {value.__name__}"
            if isinstance(value, type)
            else f"An object of {type(value).__name__}"
        )
        raise ConfigurationError(
            f"{what} was given as {hook.argument}, but {fault}. "
            f"Pass an instance, or the name of an installed one."
        )
    return Chosen(value, None)


def _without_keys(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not _KEY_OR_ADDRESS.search(name)}
