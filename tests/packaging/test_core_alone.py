"""The smallest installation: it works, and says what to install for what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.environments import Environment

pytestmark = pytest.mark.xdist_group("packaging")


def test_it_needs_a_handful_of_packages_and_no_heavy_one(core_only: Environment) -> None:
    assert core_only.names.isdisjoint({"torch", "numpy", "transformers", "onnxruntime", "click", "rich"})
    assert len(core_only.names) < 30
    assert core_only.pip("check") == ""


def test_every_module_imports_with_what_is_declared(core_only: Environment) -> None:
    code = """
import importlib, pkgutil, neuromem
TESTING = ("neuromem.testing.contracts", "neuromem.testing.fixtures")  # need the extra "testing"
assert "site-packages" in neuromem.__file__, neuromem.__file__
for module in pkgutil.walk_packages(neuromem.__path__, "neuromem."):
    if not module.name.startswith(("neuromem.cli.", "neuromem.store.schema.migrations.env", *TESTING)):
        importlib.import_module(module.name)
"""
    core_only.run(code)


def test_star_import_inspection_and_pydoc_work(core_only: Environment) -> None:
    code = """
import inspect, pydoc, neuromem
from neuromem import *
assert NeuroMemory.__name__ == "NeuroMemory"
assert {name for name, _ in inspect.getmembers(neuromem)} >= set(neuromem.__all__)
assert "OpenAILLM" not in neuromem.__all__
assert "OpenAILLM" not in dir(neuromem)
print(pydoc.plain(pydoc.render_doc("neuromem")))
"""
    assert "class NeuroMemory" in core_only.run(code)


def test_it_lists_its_plugins(core_only: Environment) -> None:
    code = """
import json
from neuromem import PluginRegistry, Settings
print(json.dumps(PluginRegistry.discover().report(Settings())))
"""
    (builtin,) = json.loads(core_only.run(code))
    assert (builtin["name"], builtin["distribution"], builtin["state"]) == ("builtin", "neuromem", "loaded")
    assert {"bm25", "vector"} <= {offer["name"] for offer in builtin["offers"] if offer["active"]}


def test_the_command_without_its_extra_says_which_one(core_only: Environment) -> None:
    with pytest.raises(AssertionError, match=r"pip install 'neuromem\[cli\]'"):
        core_only.command("neuromem", "plugins")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("from neuromem import OpenAILLM", "pip install neuromem-openai"),
        ("from neuromem import SiliconFlowEmbedding", "pip install neuromem-siliconflow"),
        ("from neuromem import S3Storage", "pip install neuromem-s3"),
        ("from neuromem import LocalEmbedding", "pip install neuromem-local"),
        ("import neuromem; neuromem.NeuroMemory()", "pip install neuromem-local"),
        ("import neuromem; neuromem.NeuroMemory(embedding='openai')", "pip install neuromem-openai"),
        (
            "import neuromem; neuromem.NeuroMemory(embedding='siliconflow:BAAI/bge-m3')",
            "neuromem-siliconflow",
        ),
    ],
)
def test_what_is_missing_is_explained(line: str, hint: str, core_only: Environment) -> None:
    code = f"""
try:
    {line}
except Exception as error:
    print(type(error).__name__, error)
"""
    assert hint in core_only.run(code)
