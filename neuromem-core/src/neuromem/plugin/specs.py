"""Descriptors: what a hook returns. Making one costs nothing; its factory builds the object when it is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuromem.plugin.context import Context

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class ProviderSpec(Generic[T_co]):
    """Something of which one is chosen: an embedding, an LLM, an object storage, a database.

    ``default=True`` lets it be chosen when nobody said otherwise; only what needs no network and no key may.
    """

    name: str
    factory: Callable[[Context], T_co]
    summary: str
    default: bool = False


@dataclass(frozen=True, slots=True)
class StageSpec(Generic[T_co]):
    """A stage of the pipeline; active when ``default`` is true or settings enable it by name.

    Stages of one hook run in the order ``(order, name)``, whatever was discovered first.
    """

    name: str
    factory: Callable[[Context], T_co]
    summary: str
    order: int = 0
    default: bool = False


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A subcommand of the ``neuromem`` command; ``factory()`` returns a ``click.Command``."""

    name: str
    factory: Callable[[], Any]
    summary: str
