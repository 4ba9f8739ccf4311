"""Descriptors: what a hook returns. Making one costs nothing; its factory builds when it is chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from neuromem.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuromem.plugin.context import Context

T_co = TypeVar("T_co", covariant=True)

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def _check(name: object, factory: object) -> None:
    """Refuse at the author's own line what nobody could ask for or build later."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PluginError(
            f"The name {name!r} cannot be used: a name has lower-case letters, digits, '-' and '_' only, "
            f"so that it can be written in settings, environment variables and 'name:model'."
        )
    if not callable(factory):
        raise PluginError(f"The factory of {name!r} is {factory!r}, which cannot be called: pass a function.")


# No slots in the generic ones: with them, Python 3.11 fails at ``StageSpec[Retriever](...)``.
@dataclass(frozen=True)
class ProviderSpec(Generic[T_co]):
    """Something of which one is chosen: an embedding, an LLM, an object storage, a database.

    ``default=True`` lets it be chosen when nobody said otherwise; only what needs no network and no key may.
    Such a default is built without the environment's keys and addresses: ``ctx.env`` does not show them.
    """

    name: str
    factory: Callable[[Context], T_co]
    summary: str
    default: bool = False

    def __post_init__(self) -> None:
        """Check name and factory; the name ``none`` is kept for choosing nothing."""
        _check(self.name, self.factory)
        if self.name == "none":
            raise PluginError("The name 'none' is kept for choosing nothing; give the provider another one.")


@dataclass(frozen=True)
class StageSpec(Generic[T_co]):
    """A stage of the pipeline; active when ``default`` is true or settings enable it by name.

    Stages of one hook run in the order ``(order, name)``, whatever was discovered first.
    """

    name: str
    factory: Callable[[Context], T_co]
    summary: str
    order: int = 0
    default: bool = False

    def __post_init__(self) -> None:
        """Check name and factory."""
        _check(self.name, self.factory)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A subcommand of the ``neuromem`` command; ``factory()`` returns a ``click.Command``."""

    name: str
    factory: Callable[[], Any]
    summary: str

    def __post_init__(self) -> None:
        """Check name and factory."""
        _check(self.name, self.factory)
