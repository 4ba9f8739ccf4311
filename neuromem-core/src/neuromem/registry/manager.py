"""The registry itself: one typed method per hook, and the choices made among the offers."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

from neuromem.errors import ConfigurationError, PluginError
from neuromem.plugin.context import Context, SystemClock
from neuromem.registry import choosing, hooks
from neuromem.registry.collecting import collect
from neuromem.registry.loading import BLOCK, Loader
from neuromem.registry.not_found import NotFoundErrors
from neuromem.registry.report import report
from neuromem.registry.stages import Switchboard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuromem.config import Settings
    from neuromem.plugin.context import Clock
    from neuromem.plugin.list_traits import ListTraits
    from neuromem.plugin.providers import DatabaseProvider, EmbeddingProvider, LLMProvider, ObjectStorage
    from neuromem.plugin.specs import CommandSpec, ProviderSpec, StageSpec
    from neuromem.plugin.stages import Extractor, Fusion, Observer, Reranker, Retriever, Scorer
    from neuromem.registry.collecting import Offers
    from neuromem.registry.origin import Chosen, Offer, PluginRecord
    from neuromem.registry.report import PluginReport
    from neuromem.registry.stages import Stages

T = TypeVar("T")

MAX_DIMS = 4_000  # of pgvector's half-precision vectors, as they can be indexed


class PluginRegistry:
    """What the installed and the handed-in plugins offer.

    ``options`` are ``settings.plugins``: by the name of a provider or stage, what its factory finds in
    ``ctx.options``. Make one with `discover`.
    """

    def __init__(
        self,
        offers: Offers,
        records: Sequence[PluginRecord],
        *,
        env: Mapping[str, str],
        options: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._offers = offers
        self._env = env
        self._missing = NotFoundErrors(offers, records)
        self._chooser = choosing.Chooser(offers, self._missing, env, options)
        self.records = tuple(records)

    @classmethod
    def discover(
        cls,
        plugins: Iterable[object] = (),
        *,
        env: Mapping[str, str] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        strict: bool = True,
    ) -> Self:
        """Load the installed plugins and, beside them, ``plugins``, and ask every hook what it offers.

        Raises `PluginError` for a plugin that breaks a rule; with ``strict=False`` it is only recorded, so
        that it can be shown. One that cannot be imported is logged, and raised with its cause when something
        is asked for that it might have offered.
        """
        env = os.environ if env is None else env
        blocked = {name.strip() for name in env.get(BLOCK, "").split(",")} - {""}
        loader = Loader(blocked, strict=strict)
        loader.run(plugins)
        offers = collect(loader)
        records = [record for _, record in sorted(loader.records.items())]
        return cls(offers, records, env=env, options=options or {})

    # One typed method per hook, in front of pluggy's untyped relay.

    def embeddings(self) -> Sequence[Offer[ProviderSpec[EmbeddingProvider]]]:
        """Return the embedding providers on offer, by name."""
        return self._offers[hooks.EMBEDDINGS.name]

    def llms(self) -> Sequence[Offer[ProviderSpec[LLMProvider]]]:
        """Return the LLM providers on offer, by name."""
        return self._offers[hooks.LLMS.name]

    def storages(self) -> Sequence[Offer[ProviderSpec[ObjectStorage]]]:
        """Return the object storages on offer, by name."""
        return self._offers[hooks.STORAGES.name]

    def databases(self) -> Sequence[Offer[ProviderSpec[DatabaseProvider]]]:
        """Return the database providers on offer, by name."""
        return self._offers[hooks.DATABASES.name]

    def extractors(self) -> Sequence[Offer[StageSpec[Extractor]]]:
        """Return the extractors on offer, active or not."""
        return self._offers[hooks.EXTRACTORS.name]

    def retrievers(self) -> Sequence[Offer[StageSpec[Retriever]]]:
        """Return the retrievers on offer, active or not."""
        return self._offers[hooks.RETRIEVERS.name]

    def fusions(self) -> Sequence[Offer[StageSpec[Fusion]]]:
        """Return the fusions on offer, active or not."""
        return self._offers[hooks.FUSIONS.name]

    def scorers(self) -> Sequence[Offer[StageSpec[Scorer]]]:
        """Return the scorers on offer, active or not."""
        return self._offers[hooks.SCORERS.name]

    def rerankers(self) -> Sequence[Offer[StageSpec[Reranker]]]:
        """Return the rerankers on offer, active or not."""
        return self._offers[hooks.RERANKERS.name]

    def observers(self) -> Sequence[Offer[StageSpec[Observer]]]:
        """Return the observers on offer, active or not."""
        return self._offers[hooks.OBSERVERS.name]

    def commands(self) -> Sequence[Offer[CommandSpec]]:
        """Return the subcommands on offer, by name."""
        return self._offers[hooks.COMMANDS.name]

    # Providers: one is chosen and built.

    def choose_embedding(self, choice: EmbeddingProvider | str | None = None) -> Chosen[EmbeddingProvider]:
        """Return the embedding provider that ``choice``, ``NEUROMEM_EMBEDDING`` or the one default names."""
        chosen = self._chooser.require(hooks.EMBEDDINGS, choice)
        dims: object = chosen.value.dims
        if type(dims) is not int or not 1 <= dims <= MAX_DIMS:
            raise ConfigurationError(
                f"The embedding {chosen.value.provider}:{chosen.value.model} has dims={dims!r}; from 1 to "
                f"{MAX_DIMS:,} can be stored. Give its provider other dims, or use another model."
            )
        return chosen

    def choose_llm(self, choice: LLMProvider | str | None = None) -> Chosen[LLMProvider] | None:
        """Return the LLM that ``choice``, ``NEUROMEM_LLM`` or the one default names; None means LLM-free."""
        return self._chooser.choose(hooks.LLMS, choice)

    def choose_storage(self, choice: ObjectStorage | str | None = None) -> Chosen[ObjectStorage] | None:
        """Return the storage that ``choice``, ``NEUROMEM_STORAGE`` or the one default names, or None."""
        return self._chooser.choose(hooks.STORAGES, choice)

    def choose_database(self) -> Chosen[DatabaseProvider]:
        """Return the one default database provider, for a user who gave no ``database_url``."""
        return self._chooser.require(hooks.DATABASES, None)

    # Stages: the active ones take part.

    def stages(
        self,
        *,
        enable: Sequence[str] = (),
        disable: Sequence[str] = (),
        extractors: Sequence[str] = (),
        fusion: str | None = None,
        rerankers: Sequence[str] = (),
    ) -> Stages:
        """Return the active stages: those with ``default=True``, plus ``enable``, minus ``disable``.

        Extractors, rerankers and the fusion may be named instead; then exactly these are active, in that
        order. A name that nobody offers is an error, and so is any other number of fusions than one.
        """
        switchboard = Switchboard(self._offers, self._missing, enable, disable)
        return switchboard.stages(extractors, fusion, rerankers)

    def build(
        self,
        offer: Offer[StageSpec[T]],
        *,
        clock: Clock | None = None,
        llm: LLMProvider | None = None,
        retrievers: Mapping[str, ListTraits] | None = None,
    ) -> T:
        """Build a stage and check that it has the method its hook asks for.

        Args:
            offer: The stage.
            clock: Where it gets the time from; None: the machine's.
            llm: The LLM that it may call.
            retrievers: For a fusion: the active retrievers, and how their lists are to be read.

        Raises:
            PluginError: Its factory fails, or what that returned cannot do the stage's work.
        """
        context = Context(
            options=self._chooser.options(offer),
            env=self._env,
            clock=clock or SystemClock(),
            llm=llm,
            retrievers=retrievers or {},
        )
        return choosing.build(offer, context)

    def report(self, settings: Settings) -> list[PluginReport]:
        """Return what is installed, active, broken and blocked, ready for ``json.dumps``.

        What cannot be decided (two defaults, an unknown name) is shown as not active; `choose_embedding`,
        `stages` and the others say why.
        """
        active = {(offer.hook.name, offer.spec.name) for offer in self.commands()}
        for hook in hooks.PROVIDER_HOOKS:
            wanted = getattr(settings, hook.argument)
            with suppress(ConfigurationError, PluginError):
                if (hook.by_name or wanted is None) and (selected := self._chooser.select(hook, wanted)):
                    active.add((hook.name, selected.offer.spec.name))
        with suppress(ConfigurationError, PluginError):
            stages = self.stages(
                enable=settings.enable,
                disable=settings.disable,
                extractors=settings.extraction.extractors,
                fusion=settings.recall.fusion,
                rerankers=settings.recall.rerankers,
            )
            active.update((offer.hook.name, offer.spec.name) for offer in stages)
        return report(self.records, self._offers, active)
