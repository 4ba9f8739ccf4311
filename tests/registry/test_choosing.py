"""Which provider is chosen, and what the error says when none can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from neuromem._entry_points import entry_points
from neuromem.config import Settings
from neuromem.errors import AuthenticationError, ConfigurationError, PluginError
from neuromem.plugin import (
    Context,
    DatabaseProvider,
    EmbeddingProvider,
    LLMProvider,
    ObjectStorage,
    ProviderSpec,
    hookimpl,
)
from neuromem.registry import PluginRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INSTALLED = ",".join(sorted({point.name for point in entry_points("neuromem")} - {"builtin"}))


class Flat(EmbeddingProvider):
    """Knows what it was built from."""

    dims = 2

    def __init__(self, ctx: Context | None = None) -> None:
        self.ctx = ctx or Context()

    @property
    def model(self) -> str:
        return self.ctx.model or "flat"

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]


class Server(DatabaseProvider):
    async def open(self) -> str:
        return "postgresql://localhost/test"


class Acme:
    """Offers what it is told to."""

    def __init__(self, name: str = "acme", **offers: ProviderSpec[Any]) -> None:
        self.__name__ = name
        self._offers = offers

    def _of(self, kind: str) -> list[ProviderSpec[Any]]:
        return [offer for name, offer in self._offers.items() if name.startswith(kind)]

    @hookimpl
    def neuromem_embeddings(self) -> list[ProviderSpec[EmbeddingProvider]]:
        return self._of("embedding")

    @hookimpl
    def neuromem_llms(self) -> list[ProviderSpec[LLMProvider]]:
        return self._of("llm")

    @hookimpl
    def neuromem_storages(self) -> list[ProviderSpec[ObjectStorage]]:
        return self._of("storage")

    @hookimpl
    def neuromem_databases(self) -> list[ProviderSpec[DatabaseProvider]]:
        return self._of("database")


def embedding(
    name: str, factory: Callable[[Context], Any] = Flat, *, default: bool = False
) -> ProviderSpec[Any]:
    return ProviderSpec(name, factory, "made for a test", default)


def discover(
    *plugins: object,
    env: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> PluginRegistry:
    return PluginRegistry.discover(
        plugins, env={"NEUROMEM_DISABLE_PLUGINS": INSTALLED, **(env or {})}, options=options
    )


def test_an_instance_is_taken_as_it_is() -> None:
    mine = Flat()
    chosen = discover().choose_embedding(mine)
    assert chosen.value is mine
    assert chosen.offer is None


def test_a_name_builds_what_the_plugin_offers() -> None:
    chosen = discover(Acme(embedding=embedding("flat"))).choose_embedding("flat")
    assert isinstance(chosen.value, Flat)
    assert chosen.offer is not None
    assert chosen.offer.origin.plugin == "acme"


def test_what_follows_the_colon_is_the_model_colons_and_slashes_included() -> None:
    registry = discover(Acme(embedding=embedding("flat")))
    assert registry.choose_embedding("flat:BAAI/bge-m3").value.model == "BAAI/bge-m3"
    assert registry.choose_embedding("flat:qwen3:8b").value.model == "qwen3:8b"
    assert registry.choose_embedding("flat:").value.model == "flat"


def test_the_factory_sees_the_options_of_its_name_and_the_environment() -> None:
    registry = discover(
        Acme(embedding=embedding("flat")),
        env={"ACME_API_KEY": "k"},
        options={"flat": {"threads": 2}, "other": {"threads": 9}},
    )
    provider = registry.choose_embedding("flat").value
    assert isinstance(provider, Flat)
    assert provider.ctx.options == {"threads": 2}
    assert provider.ctx.env["ACME_API_KEY"] == "k"


def test_an_argument_comes_before_the_environment_and_that_before_the_default() -> None:
    plugin = Acme(
        embedding_a=embedding("argument"),
        embedding_b=embedding("variable"),
        embedding_c=embedding("default", default=True),
    )
    named = discover(plugin, env={"NEUROMEM_EMBEDDING": "variable:m"})
    assert named.choose_embedding("argument:x").value.model == "x"
    assert named.choose_embedding().value.model == "m"
    default = discover(plugin).choose_embedding()
    assert default.offer is not None
    assert default.offer.spec.name == "default"


def test_two_defaults_are_an_error_that_names_both_unless_one_is_chosen() -> None:
    registry = discover(
        Acme("one", embedding=embedding("first", default=True)),
        Acme("two", embedding=embedding("second", default=True)),
    )
    with pytest.raises(ConfigurationError, match=r"'first' of plugin 'one'.*'second' of plugin 'two'"):
        registry.choose_embedding()
    assert registry.choose_embedding("second").value.dims == 2


def test_a_default_never_sees_the_keys_and_addresses_of_the_environment() -> None:
    env = {
        "ACME_API_KEY": "sk-secret",
        "HF_TOKEN": "t",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PGPASSWORD": "p",
        "ACME_BASE_URL": "https://acme.example",
        "NEUROMEM_HOME": "/data",
        "OMP_NUM_THREADS": "1",
        "KEYBOARD": "us",
    }
    registry = discover(Acme(embedding=embedding("flat", default=True)), env=env)
    default = registry.choose_embedding().value
    assert isinstance(default, Flat)
    assert set(default.ctx.env) == {
        "NEUROMEM_HOME",
        "OMP_NUM_THREADS",
        "KEYBOARD",
        "NEUROMEM_DISABLE_PLUGINS",
    }
    named = registry.choose_embedding("flat").value
    assert isinstance(named, Flat)
    assert set(named.ctx.env) >= set(env)


def test_without_any_choice_the_error_lists_what_is_installed_and_what_to_install() -> None:
    with pytest.raises(ConfigurationError) as caught:
        discover(Acme(embedding=embedding("flat"))).choose_embedding()
    message = str(caught.value)
    assert "embedding= or set NEUROMEM_EMBEDDING" in message
    assert "Installed: 'flat' of plugin 'acme' (given to the constructor)" in message
    assert "`pip install neuromem-local`" in message


def test_a_first_party_name_that_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match="`pip install neuromem-openai` brings it"):
        discover().choose_llm("openai:gpt-4o")
    with pytest.raises(ConfigurationError, match="`pip install neuromem-s3` brings it"):
        discover().choose_storage("s3")


def test_a_misspelt_name_gets_the_nearest_right_one() -> None:
    with pytest.raises(ConfigurationError, match=r"'flta'; did you mean 'flat'\?"):
        discover(Acme(embedding=embedding("flat"))).choose_embedding("flta")
    with pytest.raises(ConfigurationError, match=r"did you mean 'siliconflow'\?"):
        discover().choose_embedding("silicon-flow")


def test_without_an_llm_neuromem_is_llm_free() -> None:
    registry = discover()
    assert registry.choose_llm() is None
    assert registry.choose_storage() is None
    assert discover(env={"NEUROMEM_LLM": "none"}).choose_llm() is None
    assert discover(env={"NEUROMEM_LLM": "openai"}).choose_llm("none") is None


def test_an_embedding_cannot_be_none() -> None:
    with pytest.raises(ConfigurationError, match="no embedding provider"):
        discover(Acme(embedding=embedding("flat", default=True))).choose_embedding("none")


def test_the_database_is_the_default_and_its_variable_is_no_name() -> None:
    spec = ProviderSpec("here", lambda ctx: Server(), "made for a test", default=True)
    registry = discover(Acme(database=spec), env={"NEUROMEM_DATABASE_URL": "postgresql://elsewhere/db"})
    assert isinstance(registry.choose_database().value, Server)
    with pytest.raises(
        ConfigurationError, match=r"database_url= or set NEUROMEM_DATABASE_URL.*neuromem-local"
    ):
        discover().choose_database()


def test_a_wrong_object_is_explained() -> None:
    registry = discover()
    with pytest.raises(
        ConfigurationError, match=r"Server was given as embedding, but it is no EmbeddingProvider"
    ):
        registry.choose_embedding(Server())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="The class Flat was given"):
        registry.choose_embedding(Flat)  # type: ignore[arg-type]


def test_a_factory_that_fails_is_named_and_the_cause_chained() -> None:
    def build(ctx: Context) -> Flat:
        raise FileNotFoundError("weights.bin")

    with pytest.raises(
        PluginError, match=r"'flat' of plugin 'acme' .*FileNotFoundError: weights.bin"
    ) as caught:
        discover(Acme(embedding=embedding("flat", build))).choose_embedding("flat")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_errors_of_neuromems_own_tree_come_through() -> None:
    def build(ctx: Context) -> Flat:
        raise AuthenticationError("set ACME_API_KEY", provider="acme")

    with pytest.raises(AuthenticationError):
        discover(Acme(embedding=embedding("flat", build))).choose_embedding("flat")


def test_a_factory_that_builds_something_else_is_named() -> None:
    registry = discover(Acme(embedding=embedding("flat", lambda ctx: Server())))
    with pytest.raises(
        PluginError, match=r"'flat' of plugin 'acme'.*object of Server: it is no EmbeddingProvider"
    ):
        registry.choose_embedding("flat")


def test_the_report_shows_what_takes_part() -> None:
    registry = discover(
        Acme(embedding_a=embedding("flat", default=True), embedding_b=embedding("steep")),
        env={"NEUROMEM_DISABLE_PLUGINS": f"{INSTALLED},ghost"},
    )

    def active(settings: Settings) -> set[str]:
        offers = [offer for plugin in registry.report(settings) for offer in plugin["offers"]]
        return {offer["name"] for offer in offers if offer["active"]}

    assert {"flat", "bm25", "vector"} <= active(Settings())
    assert "steep" not in active(Settings())
    named = active(Settings(embedding="steep", disable=("vector",)))
    assert "steep" in named
    assert named.isdisjoint({"flat", "vector"})
    assert "llm" not in active(Settings())  # of the extractors none is on by default
    assert "llm" in active(Settings.model_validate({"extraction": {"extractors": ["llm"]}}))


@pytest.mark.parametrize("dims", [0, -1, 4_001, True, 1.5, None])
def test_dims_that_cannot_be_stored_are_refused_before_anything_is(dims: Any) -> None:
    class Wide(Flat):
        pass

    Wide.dims = dims
    with pytest.raises(ConfigurationError, match=r"has dims=.*from 1 to 4,000 can be stored"):
        PluginRegistry.discover(env={}).choose_embedding(Wide())
