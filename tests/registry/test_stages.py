"""Which stages are active and in which order they run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from neuromem._entry_points import entry_points
from neuromem.errors import ConfigurationError, PluginError
from neuromem.plugin import (
    Context,
    EmbeddingProvider,
    Fusion,
    Observer,
    ProviderSpec,
    Reranker,
    Retriever,
    Scorer,
    StageSpec,
    hookimpl,
)
from neuromem.registry import PluginRegistry
from neuromem.testing import HashEmbedding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import RetrievedItem

ENV = {"NEUROMEM_DISABLE_PLUGINS": ",".join(sorted({point.name for point in entry_points("neuromem")}))}


class Half:
    def score(self, query: Query, candidate: RetrievedItem) -> float:
        return 0.5


class Slow:
    async def score(self, query: Query, candidate: RetrievedItem) -> float:
        return 0.5


class Same:
    async def rerank(self, query: Query, hits: Sequence[RetrievedItem]) -> Sequence[float]:
        return [hit.relevance for hit in hits]


def stage(name: str, order: int = 0, *, default: bool = False, product: Any = None) -> StageSpec[Any]:
    return StageSpec(name, lambda ctx: product, "made for a test", order, default)


class Pipeline:
    """Enough stages to choose from."""

    def __init__(self, *fusions: StageSpec[Any]) -> None:
        self._fusions = fusions or (stage("sum", default=True),)

    @hookimpl
    def neuromem_retrievers(self) -> list[StageSpec[Retriever]]:
        return [stage("late", 9, default=True), stage("early", 1, default=True), stage("spare", 5)]

    @hookimpl
    def neuromem_fusions(self) -> list[StageSpec[Fusion]]:
        return list(self._fusions)

    @hookimpl
    def neuromem_scorers(self) -> list[StageSpec[Scorer]]:
        return [stage("half", default=True, product=Half()), stage("slow", product=Slow()), stage("empty")]

    @hookimpl
    def neuromem_rerankers(self) -> list[StageSpec[Reranker]]:
        return [stage("alpha", 2, product=Same()), stage("beta", 1), stage("gamma", 3, default=True)]

    @hookimpl
    def neuromem_observers(self) -> list[StageSpec[Observer]]:
        return [stage("deaf", product=SimpleNamespace()), stage("ear", product=Observer())]


@pytest.fixture
def registry() -> PluginRegistry:
    return PluginRegistry.discover([Pipeline()], env=ENV)


def names(offers: Sequence[Any]) -> list[str]:
    return [offer.spec.name for offer in offers]


def test_active_is_default_plus_enabled_minus_disabled(registry: PluginRegistry) -> None:
    assert names(registry.stages().retrievers) == ["early", "late"]
    assert names(registry.stages(enable=["spare"]).retrievers) == ["early", "spare", "late"]
    assert names(registry.stages(enable=["spare"], disable=["early"]).retrievers) == ["spare", "late"]


def test_named_rerankers_run_in_the_order_of_the_names(registry: PluginRegistry) -> None:
    assert names(registry.stages().rerankers) == ["gamma"]
    assert names(registry.stages(rerankers=["alpha", "beta", "alpha"]).rerankers) == ["alpha", "beta"]


@pytest.mark.parametrize("setting", ["enable", "disable"])
def test_a_name_that_nobody_offers_is_an_error(setting: str, registry: PluginRegistry) -> None:
    with pytest.raises(ConfigurationError, match=rf"'{setting}' names 'spar', .*did you mean 'spare'\?"):
        registry.stages(enable=["spar"] if setting == "enable" else [], disable=["spar"])


def test_a_reranker_that_nobody_offers_is_an_error(registry: PluginRegistry) -> None:
    with pytest.raises(
        ConfigurationError, match=r"No plugin offers the reranker 'alpa'; did you mean 'alpha'\?"
    ):
        registry.stages(rerankers=["alpa"])


def test_to_want_and_not_to_want_is_an_error(registry: PluginRegistry) -> None:
    with pytest.raises(ConfigurationError, match="both enable and disable 'spare'"):
        registry.stages(enable=["spare"], disable=["spare"])
    with pytest.raises(ConfigurationError, match="both name and disable the reranker 'alpha'"):
        registry.stages(rerankers=["alpha"], disable=["alpha"])


def test_exactly_one_fusion_is_active() -> None:
    two = PluginRegistry.discover([Pipeline(stage("a", default=True), stage("b", default=True))], env=ENV)
    with pytest.raises(ConfigurationError, match=r"2 fusions are active, 'a' of .* and 'b' of"):
        two.stages()
    assert two.stages(fusion="b").fusion.spec.name == "b"
    assert two.stages(disable=["b"]).fusion.spec.name == "a"
    with pytest.raises(ConfigurationError, match="No fusion is active"):
        two.stages(disable=["a", "b"])


def test_a_stage_is_built_with_its_options(registry: PluginRegistry) -> None:
    seen: list[Context] = []

    class One:
        @hookimpl
        def neuromem_scorers(self) -> list[StageSpec[Scorer]]:
            def build(ctx: Context) -> Half:
                seen.append(ctx)
                return Half()

            return [StageSpec("half", build, "made for a test")]

    registry = PluginRegistry.discover([One()], env=ENV, options={"half": {"weight": 2}})
    assert isinstance(registry.build(registry.scorers()[0]), Half)
    assert seen[0].options == {"weight": 2}


def test_what_cannot_do_a_stages_work_is_refused_when_it_is_built(registry: PluginRegistry) -> None:
    scorers = {offer.spec.name: offer for offer in registry.scorers()}
    with pytest.raises(
        PluginError, match=r"scorer 'slow' of plugin 'Pipeline'.*score\(\) must be a plain def"
    ):
        registry.build(scorers["slow"])
    with pytest.raises(PluginError, match=r"'empty' .*object of NoneType: it has no method score\(\)"):
        registry.build(scorers["empty"])
    observers = {offer.spec.name: offer for offer in registry.observers()}
    with pytest.raises(PluginError, match=r"'deaf' .*it is no Observer"):
        registry.build(observers["deaf"])
    assert isinstance(registry.build(observers["ear"]), Observer)


class AsksTheQuestion:
    """A retriever as it was before the reader was handed over beside the question."""

    async def candidates(self, query: Any) -> list[Any]:
        return list(await query.reader.lexical(query))


class Mute(Half):
    def mute(self, query: Any) -> bool:
        return False


class Background(HashEmbedding):
    background = 0.7


class Old:
    """Offers what was written for an earlier version of the interfaces."""

    @hookimpl
    def neuromem_retrievers(self) -> list[StageSpec[Any]]:
        return [stage("old", product=AsksTheQuestion())]

    @hookimpl
    def neuromem_scorers(self) -> list[StageSpec[Any]]:
        return [stage("muted", product=Mute())]

    @hookimpl
    def neuromem_embeddings(self) -> list[ProviderSpec[EmbeddingProvider]]:
        return [ProviderSpec("lit", lambda ctx: Background(), "made for a test")]


def test_what_was_written_for_an_earlier_interface_is_refused_with_what_to_change() -> None:
    registry = PluginRegistry.discover([Old()], env=ENV)
    (retriever,), (scorer,) = registry.retrievers(), registry.scorers()
    with pytest.raises(
        PluginError,
        match=r"retriever 'old' of plugin 'Old' .*candidates\(query\) is .* with \(query, reader\): .*query\.reader",
    ):
        registry.build(retriever)
    with pytest.raises(
        PluginError, match=r"scorer 'muted' of plugin 'Old' .*it has mute, .* rename it to applies"
    ):
        registry.build(scorer)
    with pytest.raises(PluginError, match=r"'lit' of plugin 'Old' .*it has background, .*baseline_cosine"):
        registry.choose_embedding("lit")


@pytest.mark.parametrize(
    ("traits", "says"),
    [
        ({"weight": -1.0}, "weight=-1.0"),
        ({"weight": float("nan")}, "weight=nan"),
        ({"neighbor_weights": (0.5, float("inf"))}, r"neighbor_weights\[1\]=inf"),
        ({"shared_weight": "half"}, "shared_weight='half'"),
        ({"smallest_spread": -0.1}, "smallest_spread=-0.1"),
        ({"missing_score": "median"}, "missing_score='median'"),
    ],
)
def test_traits_that_no_fusion_can_add_up_are_refused_at_the_authors_line(
    traits: dict[str, Any], says: str
) -> None:
    with pytest.raises(PluginError, match=f"stage 'odd' has {says}"):
        StageSpec("odd", lambda ctx: None, "made for a test", **traits)


def test_what_is_known_of_the_retrievers_reaches_the_fusion() -> None:
    seen: list[Context] = []

    def build(ctx: Context) -> Any:
        seen.append(ctx)
        return SimpleNamespace(fuse=lambda ranked: [])

    spec = StageSpec("acme", lambda ctx: None, "made for a test", weight=2.0, absolute=True)
    registry = PluginRegistry.discover([Pipeline(StageSpec("sum", build, "", default=True))], env=ENV)
    registry.build(registry.stages().fusion, retrievers={"acme": spec})
    assert seen[0].retrievers == {"acme": spec}
