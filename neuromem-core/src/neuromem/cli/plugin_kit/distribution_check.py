"""Checks an installed plugin from the outside, without tests of its author; needs no extra."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuromem import _exports
from neuromem._entry_points import declared, entry_points
from neuromem.errors import NeuroMemError
from neuromem.plugin.context import Context
from neuromem.plugin.specs import CommandSpec, ProviderSpec
from neuromem.registry import PluginRegistry
from neuromem.registry.hooks import HOOKS
from neuromem.registry.loading import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuromem._entry_points import Declared, EntryPoint
    from neuromem.registry import Offer

CANARY = "sk-canary-0123456789abcdef"

_KEY = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_HEAVY = {
    "httpx",
    "numpy",
    "onnxruntime",
    "sentence_transformers",
    "sqlalchemy",
    "tensorflow",
    "torch",
    "transformers",
}
_HOOKS = """
import importlib, sys
for name in sys.argv[1:]:
    plugin = importlib.import_module(name)
    for hook in dir(plugin):
        if hook.startswith("neuromem_"):
            list(getattr(plugin, hook)())
print(*sys.modules)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; ``problem`` says what is wrong and what to do, None when nothing is."""

    check: str
    problem: str | None = None


class _Keys(Mapping[str, str]):
    """An environment in which every API key is set, so that what needs one can be built."""

    def __getitem__(self, name: str) -> str:
        if _KEY.search(name):
            return CANARY
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def check_distribution(name: str) -> list[Finding]:
    """Check what an installed distribution declares, loads, offers and builds.

    Args:
        name: The name of the distribution, as pip knows it.

    Returns:
        The results of all checks that were possible, in their order.
    """
    found = declared(name)
    if found is None:
        return [Finding("installed", f"{name!r} is not installed here: pip install it first.")]
    points = _entry_points_of(found, GROUP)
    if not points:
        return [
            Finding(
                "entry points",
                f"{found.name} names no plugin: add a table [project.entry-points.{GROUP}] to its pyproject.toml.",
            )
        ]
    registry = PluginRegistry.discover(env={}, strict=False)
    return [
        Finding("installed"),
        *_check_metadata(found),
        *_check_types(points),
        *_check_exports(found),
        *_check_loading(registry, found),
        _check_import_cost(points),
        *check_offers(
            offer for offer in _offers(registry) if _same_distribution(offer.origin.distribution, found.name)
        ),
    ]


def check_offers(offers: Iterable[Offer[Any]]) -> Iterator[Finding]:
    """Build what is offered, in an environment full of keys that must appear in no error and no repr."""
    count = 0
    for count, offer in enumerate(offers, start=1):  # noqa: B007 - counted
        what = f"{offer.hook.noun} {offer.spec.name!r}"
        summary = offer.spec.summary
        if not summary.strip() or "\n" in summary:
            yield Finding(what, "Its summary must be one line: it is what `neuromem plugins` shows.")
        else:
            yield Finding(what, _build_problem(offer))
    if not count:
        yield Finding("offers", "No hook offers anything: return at least one descriptor.")


def _build_problem(offer: Offer[Any]) -> str | None:
    spec = offer.spec
    if isinstance(spec, CommandSpec):
        return None  # built when it is asked for; what breaks then is shown then
    try:
        product = spec.factory(Context(env={} if _is_default_provider(spec) else _Keys()))
    except NeuroMemError as error:
        return "The error of its factory shows a key." if CANARY in str(error) else None
    except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
        return (
            f"Its factory raised {type(error).__name__}: {error}. What is missing is said by an error of "
            "neuromem.errors, such as ConfigurationError or AuthenticationError."
        )
    if (fault := offer.hook.fault(product)) is not None:
        return f"Its factory returned an object of {type(product).__name__}: {fault}."
    if CANARY in f"{product!r} {product} {getattr(product, '__dict__', '')!r}":
        return "Its repr, or that of an attribute, shows the key: keep it in an object that hides it."
    return None


def _is_default_provider(spec: object) -> bool:
    """Return whether the factory has to work without any key."""
    return isinstance(spec, ProviderSpec) and spec.default


def _check_metadata(found: Declared) -> Iterator[Finding]:
    needed = [text.partition(";")[0].strip() for text in found.requires if "extra ==" not in text]
    core = [text for text in needed if re.match(r"neuromem\s*([<>=!~\[(]|$)", text)]
    if _same_distribution(found.name, "neuromem"):
        yield Finding("dependency on neuromem")
    elif not core:
        yield Finding("dependency on neuromem", 'There is none: add "neuromem>=1.0,<2" to dependencies.')
    elif not any(">=" in text or "~=" in text for text in core) or any("==" in text for text in core):
        yield Finding("dependency on neuromem", f"{core[0]!r} is no range: neuromem>=1.0,<2 is.")
    else:
        yield Finding("dependency on neuromem")
    python = None if found.requires_python else "requires-python is missing from its pyproject.toml."
    yield Finding("requires-python", python)
    yield Finding("license", None if found.license else "license is missing from its pyproject.toml.")


def _check_types(points: Iterable[EntryPoint]) -> Iterator[Finding]:
    for package in sorted({point.value.partition(":")[0].partition(".")[0] for point in points}):
        spec = importlib.util.find_spec(package)
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        typed = any((Path(place) / "py.typed").exists() for place in places)
        problem = f"There is no file {package}/py.typed, so nobody's type checker reads its types."
        yield Finding(f"types of {package}", None if typed else problem)


def _check_exports(found: Declared) -> Iterator[Finding]:
    for point in _entry_points_of(found, _exports.GROUP):
        try:
            _exports.resolve(point.name)
        except (ImportError, AttributeError) as error:
            yield Finding(f"export {point.name}", str(error))
        else:
            core = f"The core has a name {point.name!r}, which nobody replaces: rename yours."
            yield Finding(f"export {point.name}", core if point.name in _exports.CORE else None)


def _check_loading(registry: PluginRegistry, found: Declared) -> Iterator[Finding]:
    for record in registry.records:
        if _same_distribution(record.origin.distribution, found.name):
            problem = None if record.error is None else str(record.error)
            yield Finding(f"plugin {record.origin.plugin!r}", problem)


def _check_import_cost(points: Iterable[EntryPoint]) -> Finding:
    """Check, in a process of its own, that calling the hooks imports nothing heavy."""
    modules = [point.value.partition(":")[0] for point in points]
    command = [sys.executable, "-c", _HOOKS, *modules]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return Finding(
            "cost of its hooks", f"They cannot be called: {lines[-1] if lines else done.returncode}"
        )
    heavy = sorted(_HEAVY & {name.partition(".")[0] for name in done.stdout.split()})
    problem = f"Calling them imports {', '.join(heavy)}: import that inside the factory, which runs when it is chosen."
    return Finding("cost of its hooks", problem if heavy else None)


def _offers(registry: PluginRegistry) -> Iterator[Offer[Any]]:
    for hook in HOOKS:
        yield from getattr(registry, hook.removeprefix("neuromem_"))()


def _entry_points_of(found: Declared, group: str) -> list[EntryPoint]:
    return [point for point in entry_points(group) if _same_distribution(point.distribution, found.name)]


def _same_distribution(one: str, other: str) -> bool:
    """Return whether two names mean the same distribution, as package indexes compare them."""
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()
