"""Loads plugins: blocks, imports, registers, and holds each to the hooks that exist.

Our own loop, because pluggy's silently drops the second plugin of one name and stops at the first broken one.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

import pluggy

from neuromem._entry_points import entry_points
from neuromem.errors import PluginError
from neuromem.plugin import hookspecs
from neuromem.plugin.markers import PROJECT
from neuromem.registry.hooks import HOOKS
from neuromem.registry.origin import Origin, PluginRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

GROUP = "neuromem"
BLOCK = "NEUROMEM_DISABLE_PLUGINS"
CORE = f"{__name__.partition('.')[0]}."  # the package that all modules of the core lie in

log = logging.getLogger("neuromem.registry")


class Loader:
    """One pass of loading; afterwards ``loaded`` holds the plugins and ``records`` what became of every one.

    A rule that is broken raises at once; with ``strict=False`` it is only recorded. A failed import never
    raises here: it is recorded and reported once.
    """

    def __init__(self, blocked: Collection[str], *, strict: bool) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.loaded: dict[Origin, Any] = {}
        self.records: dict[Origin, PluginRecord] = {}
        self._blocked = blocked
        self._strict = strict

    def run(self, plugins: Iterable[object]) -> None:
        """Load the installed plugins and, beside them, those that were handed in."""
        sources: dict[str, list[tuple[Origin, Callable[[], Any]]]] = defaultdict(list)
        for point in entry_points(GROUP):
            core = point.value.partition(":")[0].startswith(CORE)
            origin = Origin(point.name, point.distribution, point.version, core)
            sources[point.name].append((origin, point.load))
        for plugin in plugins:
            origin = Origin(str(getattr(plugin, "__name__", None) or type(plugin).__qualname__))
            sources[origin.plugin].append((origin, partial(lambda given: given, plugin)))
        self._block(sources)
        for name, found in sorted(sources.items()):
            if name in self._blocked:
                for origin, _ in found:
                    self.records[origin] = PluginRecord(origin, "blocked")
            elif len(found) > 1:
                self._same_name(name, [origin for origin, _ in found])
            else:
                self._load(*found[0])

    def fault(self, origin: Origin, error: PluginError, cause: BaseException | None = None) -> None:
        """Record that the plugin breaks a rule, and raise unless that is to be shown only."""
        if self._strict:
            raise error from cause
        error.__cause__ = cause
        self.records[origin] = PluginRecord(origin, "broken", error)

    def _block(self, names: Collection[str]) -> None:
        for name in sorted(self._blocked):
            if name not in names:
                log.warning(
                    "%s names %r, but no such plugin is installed%s", BLOCK, name, did_you_mean(name, names)
                )

    def _same_name(self, name: str, origins: list[Origin]) -> None:
        error = PluginError(
            f"Two plugins have the same name {name!r}: {' and '.join(map(str, origins))}. "
            f"Uninstall or leave out one of them; {BLOCK}={name} blocks both."
        )
        for origin in origins:
            self.fault(origin, error)

    def _load(self, origin: Origin, load: Callable[[], Any]) -> None:
        try:
            plugin = load()
        except Exception as cause:
            error = PluginError(
                f"{capital(origin)} cannot be imported: {type(cause).__name__}: {cause}. "
                f"Mend or uninstall it, or set {BLOCK}={origin.plugin}."
            )
            error.__cause__ = cause
            self.records[origin] = PluginRecord(origin, "broken", error)
            log.warning("%s", error, exc_info=cause)
            return
        self.records[origin] = PluginRecord(origin, "loaded")
        self._register(origin, plugin)

    def _register(self, origin: Origin, plugin: Any) -> None:
        if isinstance(plugin, type):
            self.fault(origin, PluginError(f"{capital(origin)} is a class: pass an instance or a module."))
            return
        try:
            self.manager.register(plugin, origin.plugin)
        except (pluggy.PluginValidationError, ValueError) as cause:
            # A signature that differs from the hook's, or one object under two names.
            why = " ".join(str(cause).split())
            self.fault(origin, PluginError(f"{capital(origin)} cannot be registered: {why}"), cause)
            return
        problem = self._pending(plugin)
        if problem is None:
            self.loaded[origin] = plugin
        else:
            self.manager.unregister(plugin)
            self.fault(origin, PluginError(f"{capital(origin)} {problem}"))

    def _pending(self, plugin: Any) -> str | None:
        """Return what pluggy's ``check_pending()`` would say of this plugin, and what it does not see."""
        callers = self.manager.get_hookcallers(plugin) or []
        for caller in callers:
            for impl in caller.get_hookimpls():
                if impl.plugin is not plugin:
                    continue
                if not caller.has_spec() and not impl.optionalhook:
                    return f"implements an unknown hook {caller.name!r}{did_you_mean(caller.name, HOOKS)}"
                if impl.wrapper or impl.hookwrapper:
                    return f"wraps {caller.name}: hooks only describe, there is nothing to wrap"
        marked = {caller.name for caller in callers}
        for name in HOOKS:
            if name not in marked and callable(getattr(plugin, name, None)):
                return f"has a function {name}() without @hookimpl: nobody would ever call it"
        if not marked:
            return "has no hook at all: name the module whose functions are marked with @hookimpl"
        return None


def capital(origin: Origin) -> str:
    """Return the origin as the beginning of a sentence."""
    return f"{origin}".replace("plugin", "Plugin", 1)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: the nearest right spelling, or the full stop."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."
