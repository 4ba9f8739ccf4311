"""Which plugins are loaded, and what is said about those that cannot be."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from neuromem._entry_points import entry_points
from neuromem.errors import ConfigurationError, PluginError
from neuromem.plugin import EmbeddingProvider, ProviderSpec, Retriever, StageSpec, hookimpl
from neuromem.registry import Origin, PluginRegistry
from tests.support.distributions import Distributions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RETRIEVER = """
    from neuromem.plugin import StageSpec, hookimpl

    @hookimpl
    def neuromem_retrievers():
        return [StageSpec({name!r}, lambda ctx: None, "made for a test", order={order})]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    distributions = Distributions(tmp_path, monkeypatch)
    yield distributions
    distributions.forget()


@pytest.fixture
def env() -> dict[str, str]:
    """An environment in which of the really installed plugins only the core's own is left."""
    others = {point.name for point in entry_points("neuromem")} - {"builtin"}
    return {"NEUROMEM_DISABLE_PLUGINS": ",".join(sorted(others))}


def block(env: dict[str, str], name: str) -> dict[str, str]:
    return {"NEUROMEM_DISABLE_PLUGINS": f"{env['NEUROMEM_DISABLE_PLUGINS']}, {name}"}


def states(registry: PluginRegistry) -> dict[str, str]:
    return {record.origin.plugin: record.state for record in registry.records if record.state != "blocked"}


def test_the_core_is_registered_like_any_plugin(env: dict[str, str]) -> None:
    registry = PluginRegistry.discover(env=env)
    assert states(registry) == {"builtin": "loaded"}
    assert {offer.origin.distribution for offer in registry.retrievers()} == {"neuromem"}
    assert {offer.spec.name for offer in registry.retrievers()} >= {"bm25", "vector"}


def test_the_core_can_be_blocked_like_any_plugin(env: dict[str, str]) -> None:
    registry = PluginRegistry.discover(env=block(env, "builtin"))
    assert registry.retrievers() == ()
    with pytest.raises(ConfigurationError, match="No fusion is active"):
        registry.stages()


def test_an_offer_knows_plugin_distribution_and_version(
    installed: Distributions, env: dict[str, str]
) -> None:
    installed.install("neuromem-acme", "1.2", plugin="acme", source=RETRIEVER.format(name="acme", order=0))
    offers = {offer.spec.name: offer for offer in PluginRegistry.discover(env=env).retrievers()}
    assert offers["acme"].origin == Origin("acme", "neuromem-acme", "1.2")
    assert str(offers["acme"]) == "'acme' of plugin 'acme' (neuromem-acme 1.2)"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_order_is_data_whatever_was_discovered_first(
    order: tuple[int, ...], installed: Distributions, env: dict[str, str]
) -> None:
    made = [("zebra", 5), ("ant", 5), ("cat", 1)]
    for i in order:
        name, position = made[i]
        installed.install(f"neuromem-{name}", plugin=name, source=RETRIEVER.format(name=name, order=position))
    registry = PluginRegistry.discover(env=block(env, "builtin"))
    assert [offer.spec.name for offer in registry.retrievers()] == ["cat", "ant", "zebra"]


def test_a_blocked_plugin_is_never_imported(installed: Distributions, env: dict[str, str]) -> None:
    module = installed.install("neuromem-acme", plugin="acme", source="raise SystemExit('imported')")
    registry = PluginRegistry.discover(env=block(env, "acme"))
    assert module not in sys.modules
    assert Origin("acme", "neuromem-acme", "1.0") in {
        record.origin for record in registry.records if record.state == "blocked"
    }


def test_blocking_what_is_not_there_is_said_with_the_nearest_name(
    installed: Distributions, env: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    installed.install("neuromem-acme", plugin="acme", source=RETRIEVER.format(name="acme", order=0))
    with caplog.at_level(logging.WARNING, "neuromem"):
        registry = PluginRegistry.discover(env=block(env, "acmee"))
    assert states(registry)["acme"] == "loaded"
    assert "NEUROMEM_DISABLE_PLUGINS names 'acmee'" in caplog.text
    assert "did you mean 'acme'?" in caplog.text


def test_a_distribution_found_twice_on_the_path_counts_once(
    installed: Distributions, env: dict[str, str]
) -> None:
    source = RETRIEVER.format(name="acme", order=0)
    installed.install("neuromem-acme", "1.0", plugin="acme", source=source)
    installed.install("neuromem-acme", "2.0", plugin="acme", source=source)
    registry = PluginRegistry.discover(env=env)
    acme = [offer.origin for offer in registry.retrievers() if offer.spec.name == "acme"]
    assert acme == [Origin("acme", "neuromem-acme", "2.0")]


def test_two_distributions_with_one_plugin_name_are_both_named(
    installed: Distributions, env: dict[str, str]
) -> None:
    installed.install("neuromem-acme", "1.2", plugin="acme", source=RETRIEVER.format(name="a", order=0))
    installed.install("acme-memory", "0.3", plugin="acme", source=RETRIEVER.format(name="b", order=0))
    with pytest.raises(PluginError, match="same name 'acme'") as caught:
        PluginRegistry.discover(env=env)
    assert "acme-memory 0.3" in str(caught.value)
    assert "neuromem-acme 1.2" in str(caught.value)
    assert states(PluginRegistry.discover(env=env, strict=False))["acme"] == "broken"
    assert "acme" not in states(PluginRegistry.discover(env=block(env, "acme")))


def test_two_offers_of_one_name_in_one_hook_are_both_named(
    installed: Distributions, env: dict[str, str]
) -> None:
    installed.install("neuromem-acme", "1.2", plugin="acme", source=RETRIEVER.format(name="near", order=0))
    installed.install("neuromem-zeta", "0.3", plugin="zeta", source=RETRIEVER.format(name="near", order=7))
    with pytest.raises(PluginError, match="retriever 'near' is offered 2 times") as caught:
        PluginRegistry.discover(env=env)
    assert "neuromem-acme 1.2" in str(caught.value)
    assert "neuromem-zeta 0.3" in str(caught.value)
    shown = PluginRegistry.discover(env=env, strict=False)
    assert "near" not in {offer.spec.name for offer in shown.retrievers()}
    assert "bm25" in {offer.spec.name for offer in shown.retrievers()}


def test_a_plugin_that_cannot_be_imported_is_reported_once_and_stops_nobody(
    installed: Distributions, env: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    installed.install("neuromem-acme", "1.2", plugin="acme", source="import a_module_that_is_not_there")
    with caplog.at_level(logging.WARNING, "neuromem"):
        registry = PluginRegistry.discover(env=env)
        registry.stages()
        registry.choose_llm()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "neuromem-acme 1.2" in caplog.text
    assert "a_module_that_is_not_there" in caplog.text
    assert states(registry) == {"acme": "broken", "builtin": "loaded"}


def test_a_broken_plugin_is_raised_when_it_might_have_offered_what_was_asked_for(
    installed: Distributions, env: dict[str, str]
) -> None:
    installed.install("neuromem-acme", "1.2", plugin="acme", source="import a_module_that_is_not_there")
    registry = PluginRegistry.discover(env=env)
    for ask in (
        lambda: registry.choose_embedding("acme"),
        registry.choose_embedding,
        lambda: registry.stages(enable=["acme"]),
        lambda: registry.stages(rerankers=["acme"]),
    ):
        with pytest.raises(PluginError, match=r"'acme' \(neuromem-acme 1.2\) cannot be imported") as caught:
            ask()
        cause = caught.value.__cause__
        assert isinstance(cause, PluginError)
        assert isinstance(cause.__cause__, ModuleNotFoundError)


def test_two_broken_plugins_are_both_causes(installed: Distributions, env: dict[str, str]) -> None:
    installed.install("neuromem-acme", plugin="acme", source="raise ValueError('one')")
    installed.install("neuromem-zeta", plugin="zeta", source="raise ValueError('two')")
    with pytest.raises(PluginError, match=r"one.*two") as caught:
        PluginRegistry.discover(env=env).choose_embedding("acme")
    assert isinstance(caught.value.__cause__, ExceptionGroup)


HEAD = "from neuromem.plugin import CommandSpec, ProviderSpec, StageSpec, hookimpl\n"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            "@hookimpl\ndef neuromem_retriever(): return []",
            "unknown hook 'neuromem_retriever'; did you mean 'neuromem_retrievers'?",
        ),
        ("def neuromem_retrievers(): return []", r"neuromem_retrievers\(\) without @hookimpl"),
        ("answer = 42", "has no hook at all"),
        ("@hookimpl\ndef neuromem_retrievers(query): return []", "cannot be registered.*query"),
        ("@hookimpl(wrapper=True)\ndef neuromem_retrievers(): return (yield)", "there is nothing to wrap"),
        ("@hookimpl\nasync def neuromem_retrievers(): return []", "is an async def; a hook is a plain def"),
        ("@hookimpl\nasync def neuromem_retrievers(): yield 1", "returned async_generator"),
        ("@hookimpl\ndef neuromem_retrievers(): pass", "returned None; return a list of StageSpec"),
        ("@hookimpl\ndef neuromem_retrievers(): return 'graph'", "returned str 'graph'"),
        ("@hookimpl\ndef neuromem_retrievers(): return {'graph': 1}", "returned dict"),
        ("@hookimpl\ndef neuromem_retrievers(): return [len]", "offered builtin_function_or_method"),
        (
            "@hookimpl\ndef neuromem_retrievers(): return [ProviderSpec('a', len, '')]",
            "offered ProviderSpec.*; it takes StageSpec only",
        ),
        (
            "@hookimpl\ndef neuromem_retrievers():\n yield StageSpec('a', len, '')\n raise KeyError('x')",
            r"neuromem_retrievers\(\) failed: KeyError: 'x'",
        ),
        (
            "@hookimpl\ndef neuromem_llms(): return [ProviderSpec('My LLM', len, '')]",
            "'My LLM' cannot be used",
        ),
        ("@hookimpl\ndef neuromem_llms(): return [ProviderSpec('none', len, '')]", "'none' is kept"),
        ("@hookimpl\ndef neuromem_llms(): return [ProviderSpec('a', None, '')]", "cannot be called"),
    ],
)
def test_a_broken_rule_is_an_error_that_names_plugin_distribution_and_version(
    source: str, complaint: str, installed: Distributions, env: dict[str, str]
) -> None:
    installed.install("neuromem-acme", "1.2", plugin="acme", source=HEAD + source)
    with pytest.raises(PluginError, match=complaint) as caught:
        PluginRegistry.discover(env=env)
    assert "Plugin 'acme' (neuromem-acme 1.2)" in str(caught.value)


def test_a_broken_rule_can_be_shown_instead_of_raised(installed: Distributions, env: dict[str, str]) -> None:
    installed.install(
        "neuromem-acme", plugin="acme", source=HEAD + "@hookimpl\ndef neuromem_llm(): return []"
    )
    registry = PluginRegistry.discover(env=env, strict=False)
    assert states(registry) == {"acme": "broken", "builtin": "loaded"}
    (record,) = (record for record in registry.records if record.state == "broken")
    assert "did you mean 'neuromem_llms'?" in str(record.error)


def test_an_optional_hook_of_another_version_is_no_error(
    installed: Distributions, env: dict[str, str]
) -> None:
    source = RETRIEVER.format(name="acme", order=0) + (
        "\n    @hookimpl(optionalhook=True)\n    def neuromem_of_the_future(): return []\n"
    )
    installed.install("neuromem-acme", plugin="acme", source=source)
    assert states(PluginRegistry.discover(env=env))["acme"] == "loaded"


class Handed:
    """A plugin object as it is given to the constructor."""

    @hookimpl
    def neuromem_retrievers(self) -> list[StageSpec[Retriever]]:
        return [StageSpec("handed", lambda ctx: SimpleNamespace(), "made for a test")]


def test_plugin_objects_are_registered_beside_the_discovered_ones(env: dict[str, str]) -> None:
    registry = PluginRegistry.discover([Handed()], env=env)
    offers = {offer.spec.name: offer for offer in registry.retrievers()}
    assert {"bm25", "handed"} <= set(offers)
    assert str(offers["handed"].origin) == "plugin 'Handed' (given to the constructor)"


def test_a_class_in_place_of_a_plugin_object_is_explained(env: dict[str, str]) -> None:
    with pytest.raises(PluginError, match=r"Plugin 'Handed' .* is a class: pass an instance"):
        PluginRegistry.discover([Handed], env=env)


def test_one_plugin_object_twice_is_an_error(env: dict[str, str]) -> None:
    plugin = Handed()
    with pytest.raises(PluginError, match="same name 'Handed'"):
        PluginRegistry.discover([plugin, plugin], env=env)


def test_two_registries_know_nothing_of_each_other(env: dict[str, str]) -> None:
    class Other:
        @hookimpl
        def neuromem_embeddings(self) -> list[ProviderSpec[EmbeddingProvider]]:
            return []

    first = PluginRegistry.discover([Handed()], env=env)
    second = PluginRegistry.discover([Other()], env=env)
    assert "handed" in {offer.spec.name for offer in first.retrievers()}
    assert "handed" not in {offer.spec.name for offer in second.retrievers()}
