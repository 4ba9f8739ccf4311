"""Where things come from: every offer knows its plugin, distribution and version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from neuromem.plugin.specs import CommandSpec, ProviderSpec, StageSpec

if TYPE_CHECKING:
    from neuromem.errors import PluginError
    from neuromem.registry.hooks import Hook

S_co = TypeVar("S_co", bound=ProviderSpec[Any] | StageSpec[Any] | CommandSpec, covariant=True)
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a plugin comes from.

    Attributes:
        plugin: Its name: that of its entry point, or of the object that was given to the constructor.
        distribution: The distribution that installed it; empty for an object given to the constructor.
        version: The version of that distribution.
        core: Whether its code is part of the core's own package, so that its retrievers are known to read through the
            ports alone.
    """

    plugin: str
    distribution: str = ""
    version: str = ""
    core: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        """Return it as errors show it."""
        source = f"{self.distribution} {self.version}" if self.distribution else "given to the constructor"
        return f"plugin {self.plugin!r} ({source})"


@dataclass(frozen=True, slots=True)
class Offer(Generic[S_co]):
    """One descriptor, the hook it was offered through, and who offers it."""

    hook: Hook[Any] = field(repr=False)
    spec: S_co
    origin: Origin

    def __str__(self) -> str:
        """Return it as errors show it."""
        return f"{self.spec.name!r} of {self.origin}"


@dataclass(frozen=True, slots=True)
class Chosen(Generic[T_co]):
    """The provider that was chosen; ``offer`` is None when the user handed it in, who closes it, too."""

    value: T_co
    offer: Offer[ProviderSpec[T_co]] | None


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """What became of one plugin; ``error`` says why it is broken."""

    origin: Origin
    state: Literal["loaded", "broken", "blocked"]
    error: PluginError | None = None
