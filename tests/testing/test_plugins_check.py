"""``neuromem plugins check`` names what is wrong with a distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from neuromem.cli.app import neuromem
from neuromem.cli.plugin_kit.distribution_check import check_distribution
from tests.support.distributions import Distributions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CARELESS = """
    import torch

    from neuromem.errors import ConfigurationError
    from neuromem.plugin import ProviderSpec, StageSpec, hookimpl
    from neuromem.testing import HashEmbedding, MemoryStorage


    class Talkative(HashEmbedding):
        def __init__(self, key):
            super().__init__()
            self.key = key


    def crash(ctx):
        raise KeyError("REGION")


    @hookimpl
    def neuromem_embeddings():
        return [
            ProviderSpec("talkative", lambda ctx: Talkative(ctx.env["ACME_API_KEY"]), "Shows its key"),
            ProviderSpec("storage", lambda ctx: MemoryStorage(), "Is no embedding"),
            ProviderSpec("crash", crash, "Crashes"),
            ProviderSpec("mute", lambda ctx: HashEmbedding(), ""),
            ProviderSpec("fine", lambda ctx: HashEmbedding(), "Is fine"),
        ]
"""


@pytest.fixture
def distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    distributions = Distributions(tmp_path, monkeypatch)
    yield distributions
    distributions.forget()


@pytest.fixture
def problems(distributions: Distributions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "torch.py").write_text("")  # the name is what counts
    monkeypatch.syspath_prepend(tmp_path / "lib")
    distributions.install("acme-careless", plugin="careless", source=CARELESS)
    return {finding.check: finding.problem or "" for finding in check_distribution("Acme_Careless")}


def test_what_is_built_is_looked_at(problems: dict[str, str]) -> None:
    assert "shows the key" in problems["embedding provider 'talkative'"]
    assert "it is no EmbeddingProvider" in problems["embedding provider 'storage'"]
    assert "KeyError" in problems["embedding provider 'crash'"]
    assert "one line" in problems["embedding provider 'mute'"]
    assert problems["embedding provider 'fine'"] == ""


def test_what_is_declared_is_looked_at(problems: dict[str, str]) -> None:
    assert "neuromem>=1.0,<2" in problems["dependency on neuromem"]
    assert "py.typed" in next(text for check, text in problems.items() if check.startswith("types of"))
    assert problems["license"]
    assert problems["plugin 'careless'"] == ""


def test_one_that_cannot_be_imported_says_why(distributions: Distributions) -> None:
    distributions.install("acme-broken", plugin="broken", source="import no_such_module")
    problems = {finding.check: finding.problem or "" for finding in check_distribution("acme-broken")}
    assert "no_such_module" in problems["plugin 'broken'"]
    assert "no_such_module" in problems["cost of its hooks"]


def test_the_command_exits_with_1_and_a_sentence(distributions: Distributions) -> None:
    for name, words in (("no-such-thing", "not installed"), ("pytest", "names no plugin")):
        done = CliRunner().invoke(neuromem, ["plugins", "check", name])
        assert done.exit_code == 1
        assert words in done.output
    assert CliRunner().invoke(neuromem, ["plugins", "check", "neuromem-local"]).exit_code == 0
