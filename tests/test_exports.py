"""The public names: lazy, complete, and honest about what is not installed."""

from __future__ import annotations

import ast
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import neuromem
from neuromem import _exports
from neuromem._entry_points import entry_points
from neuromem._first_party import EXPORTS, PROVIDERS
from neuromem.errors import NeuroMemError
from neuromem.registry import PluginRegistry
from tests.support.distributions import Distributions

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = ("sqlalchemy", "asyncpg", "httpx", "pydantic", "alembic")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    distributions = Distributions(tmp_path, monkeypatch)
    yield distributions
    distributions.forget()
    for name in set(vars(neuromem)) & {"AcmeEmbedding", "InputError"}:
        delattr(neuromem, name)


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "line",
    [
        "import neuromem",
        "from neuromem.plugin import hookimpl",
        "from neuromem import InputError, hookimpl, EmbeddingProvider, Memory",
        "import neuromem; neuromem.__version__; neuromem.__all__; dir(neuromem)",
        "from neuromem import PluginRegistry; PluginRegistry.discover()",
    ],
)
def test_what_is_heavy_is_not_imported_before_it_is_needed(line: str) -> None:
    assert (
        run(f"import sys\n{line}\nprint([name for name in {HEAVY} if name in sys.modules])").strip() == "[]"
    )


def test_importing_neuromem_imports_next_to_nothing() -> None:
    loaded = run("import sys; before = set(sys.modules); import neuromem; print(*set(sys.modules) - before)")
    assert {name for name in loaded.split() if "." not in name} <= {"neuromem", "typing"} | set(
        sys.stdlib_module_names
    )
    assert {name for name in loaded.split() if name.startswith("neuromem")} == {"neuromem"}


def test_every_public_name_is_there() -> None:
    assert sorted(neuromem.__all__) == neuromem.__all__
    for name in neuromem.__all__:
        assert hasattr(neuromem, name), name
        assert name in dir(neuromem)


def test_names_for_type_checkers_and_for_the_interpreter_are_the_same() -> None:
    tree = ast.parse(Path(str(neuromem.__file__)).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    own = {name: module for name, module in typed.items() if str(module).partition(".")[0] == "neuromem"}
    assert own == _exports.CORE
    assert set(typed) - set(own) == set(EXPORTS)
    listed = next(node.value for node in block.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(listed) == sorted(typed)


def test_every_error_is_public() -> None:
    def tree(error: type[NeuroMemError]) -> set[str]:
        return {error.__name__}.union(*(tree(child) for child in error.__subclasses__()))

    defined = {name for name in tree(NeuroMemError) if hasattr(sys.modules["neuromem.errors"], name)}
    assert defined <= set(_exports.CORE)


def test_the_hints_what_to_install_agree_with_what_the_distributions_declare() -> None:
    """Holds in the workspace, where all five are installed; elsewhere it checks those that are."""
    first_party = {*EXPORTS.values()}
    declared = {
        point.name: point.distribution
        for point in entry_points("neuromem.exports")
        if point.distribution in first_party
    }
    present = set(declared.values())
    assert declared == {name: dist for name, dist in EXPORTS.items() if dist in present}
    registry = PluginRegistry.discover()
    for hook, known in PROVIDERS.items():
        offers = getattr(registry, hook.removeprefix("neuromem_"))()
        offered = {offer.spec.name: offer.origin.distribution for offer in offers}
        ours = {name: dist for name, dist in offered.items() if dist in first_party}
        assert ours == {name: dist for name, dist in known.items() if dist in present}, hook


def test_star_import_and_inspection_work() -> None:
    scope: dict[str, object] = {}
    exec("from neuromem import *", scope)
    assert set(neuromem.__all__) <= set(scope)
    members = dict(inspect.getmembers(neuromem))
    assert set(neuromem.__all__) <= set(members)
    assert "NeuroMemory" in pydoc.render_doc(neuromem)


def test_a_missing_first_party_name_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exports, "entry_points", lambda group: [])
    monkeypatch.delitem(vars(neuromem), "OpenAILLM", raising=False)
    with pytest.raises(ImportError, match="`pip install neuromem-openai`"):
        from neuromem import OpenAILLM  # noqa: F401
    assert not hasattr(neuromem, "OpenAILLM")
    with pytest.raises(AttributeError, match="`pip install neuromem-openai`"):
        _ = neuromem.OpenAILLM
    assert "OpenAILLM" not in neuromem.__all__
    assert "OpenAILLM" not in dir(neuromem)


def test_an_unknown_name_is_what_python_says_of_unknown_names() -> None:
    with pytest.raises(ImportError, match="cannot import name 'NeuroMemry'"):
        exec("from neuromem import NeuroMemry")
    assert not hasattr(neuromem, "NeuroMemry")
    assert not hasattr(neuromem, "_private")


def test_a_strangers_export_is_importable_from_neuromem(installed: Distributions) -> None:
    installed.install(
        "neuromem-acme", source="class AcmeEmbedding: pass", exports={"AcmeEmbedding": "AcmeEmbedding"}
    )
    assert "AcmeEmbedding" in neuromem.__all__
    scope: dict[str, type] = {}
    exec("from neuromem import AcmeEmbedding", scope)
    assert scope["AcmeEmbedding"].__module__.startswith("neuromem_acme")


def test_a_broken_export_names_its_distribution_and_keeps_the_cause(installed: Distributions) -> None:
    installed.install(
        "neuromem-acme", "1.2", source="import nowhere_to_be_found", exports={"AcmeEmbedding": "A"}
    )
    with pytest.raises(ImportError, match=r"neuromem-acme 1\.2.*nowhere_to_be_found") as caught:
        exec("from neuromem import AcmeEmbedding")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert not hasattr(neuromem, "AcmeEmbedding")


def test_one_name_from_two_distributions_is_an_error_that_names_both(installed: Distributions) -> None:
    for name in ("neuromem-acme", "neuromem-zeta"):
        installed.install(name, source="A = 1", exports={"AcmeEmbedding": "A"})
    with pytest.raises(ImportError, match=r"neuromem-acme 1\.0 and neuromem-zeta 1\.0"):
        exec("from neuromem import AcmeEmbedding")


def test_nobody_replaces_a_name_of_the_core(installed: Distributions) -> None:
    installed.install("neuromem-acme", source="InputError = 1", exports={"InputError": "InputError"})
    vars(neuromem).pop("InputError", None)
    assert neuromem.InputError is sys.modules["neuromem.errors"].InputError
