"""Every hook is documented by an example that works, and is known to the registry."""

from __future__ import annotations

import inspect
import re
import typing
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from neuromem import plugin
from neuromem._entry_points import entry_points
from neuromem.plugin import Context, hookspecs, providers, specs, stages
from neuromem.registry import PluginRegistry
from neuromem.registry.hooks import HOOKS

if typing.TYPE_CHECKING:
    from collections.abc import Callable

ENV = {"NEUROMEM_DISABLE_PLUGINS": ",".join(sorted({point.name for point in entry_points("neuromem")}))}
SPECS = {name: value for name, value in vars(hookspecs).items() if hasattr(value, "neuromem_spec")}


def example(hook: Callable[[], Any]) -> ModuleType:
    """Execute the example of a hook's docstring as the module of a plugin."""
    _, _, indented = inspect.getdoc(hook).partition("::\n")  # type: ignore[union-attr]
    module = ModuleType("an_example")
    exec(compile(dedent(indented), hook.__name__, "exec"), vars(module))
    return module


def test_the_registry_knows_exactly_the_specified_hooks() -> None:
    assert set(HOOKS) == set(SPECS)
    assert len(SPECS) == 11
    for name in SPECS:
        assert callable(getattr(PluginRegistry, name.removeprefix("neuromem_")))


@pytest.mark.parametrize("name", sorted(SPECS))
def test_spec_and_registry_agree_on_what_a_hook_returns(name: str) -> None:
    known = {**vars(providers), **vars(specs), **vars(stages), "Iterable": typing.Iterable}
    returned = typing.get_type_hints(SPECS[name], globalns=known)["return"]
    (spec,) = typing.get_args(returned)
    assert (typing.get_origin(spec) or spec) is HOOKS[name].spec
    if product := typing.get_args(spec):
        assert HOOKS[name].base is product[0] or hasattr(product[0], str(HOOKS[name].method))


@pytest.mark.parametrize("name", sorted(SPECS))
def test_the_example_in_the_docstring_works(name: str) -> None:
    registry = PluginRegistry.discover([example(SPECS[name])], env=ENV)
    (offer,) = getattr(registry, name.removeprefix("neuromem_"))()
    if name == "neuromem_commands":
        assert offer.spec.factory().name == "hello"
    else:
        assert HOOKS[name].fault(offer.spec.factory(Context(model="green"))) is None


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_docstring_begins_with_one_sentence(name: str) -> None:
    first = (SPECS[name].__doc__ or "").splitlines()[0]
    assert re.fullmatch(r"Offer .*\.", first)


def test_authors_find_everything_in_one_place() -> None:
    assert {name for name in plugin.__all__ if not hasattr(plugin, name)} == set()
    for hook in HOOKS.values():
        if hook.base is not None:
            assert hook.base.__name__ in plugin.__all__
