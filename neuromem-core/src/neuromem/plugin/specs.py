"""Descriptors: what a hook returns. Making one costs nothing; its factory is called when it is chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from neuromem.errors import PluginError
from neuromem.plugin.list_traits import ListTraits, check_traits

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuromem.plugin.context import Context

T_co = TypeVar("T_co", covariant=True)

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def _check(name: object, factory: object) -> None:
    """Raise `PluginError`, at the author's own line, for what nobody could ask for or build later."""
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

    Attributes:
        name: What settings and ``"name:model"`` call it: lower-case letters, digits, ``-`` and ``_``.
        factory: Builds the provider from a `Context`; called when the provider is chosen.
        summary: One line for people who choose.
        default: Whether it is chosen when nobody names one; only what needs no network and no key may be. A default is
            built without the environment's keys and addresses: ``ctx.env`` does not have them.
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
class StageSpec(ListTraits, Generic[T_co]):
    """A stage of the pipeline, and of a retriever how its list is to be read.

    The fields of `ListTraits` and the last two are for retrievers; ``weight`` is for scorers, too. The built-in stages
    are described by the same fields, in `neuromem.builtin`.

    Attributes:
        name: What settings and `explain` call it: lower-case letters, digits, ``-`` and ``_``.
        factory: Builds the stage from a `Context`; called once, when the `neuromem.NeuroMemory` is made.
        summary: One line for people who choose.
        order: Stages of one hook run in the order ``(order, name)``, whatever was discovered first.
        default: Whether it is active unless ``settings.disable`` names it; otherwise ``settings.enable`` must.
        uses_vectors: The retriever calls ``reader.vector()``: the question is then embedded before anything is
            searched, words and vectors are searched in one statement, and ``explain`` says whether that was exact.
        uses_relations: The retriever calls ``reader.related()``: the answer then shows the relations of what the
            question names, as ``graph_results``.
    """

    name: str
    factory: Callable[[Context], T_co]
    summary: str
    order: int = 0
    default: bool = False
    uses_vectors: bool = field(default=False, kw_only=True)
    uses_relations: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Check name, factory and traits."""
        _check(self.name, self.factory)
        check_traits(self, self.name)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A subcommand of the ``neuromem`` command.

    Attributes:
        name: What stands after ``neuromem`` on the command line.
        factory: Returns a ``click.Command``; called when somebody uses the command line.
        summary: One line for ``neuromem --help``.
    """

    name: str
    factory: Callable[[], Any]
    summary: str

    def __post_init__(self) -> None:
        """Check name and factory."""
        _check(self.name, self.factory)
