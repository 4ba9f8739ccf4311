"""A stranger's distribution adds a retriever, a scorer and an embedding; nothing in the core is changed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.packaging.conftest import ACME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.environments import Environment

pytestmark = pytest.mark.xdist_group("packaging")

RECALL = """
import asyncio, json, sys
from neuromem import NeuroMemory

CONTENTS = (
    "Did you ever live in New York City?",
    "I moved to New York City last summer",
    "The weather is fine today",
)

async def recall(url, *disable, ingest=()):
    async with NeuroMemory(url, embedding="acme:pairs-2", llm="none", settings={"disable": disable}) as nm:
        for content in ingest:
            await nm.ingest(user_id="alice", role="user", content=content)
        await nm.drain()
        return await nm.recall(user_id="alice", query="Who knows NYC?", explain=True)

async def main(url):
    everything = await recall(url, ingest=CONTENTS)
    words = await recall(url, "vector")
    without = await recall(url, "vector", "abbreviations")
    print(json.dumps([everything, words, without], default=str))

asyncio.run(main(sys.argv[1]))
"""


def test_neuromem_plugins_shows_it_with_its_provenance(with_acme: Environment) -> None:
    shown = with_acme.command("neuromem", "plugins", "--json", NEUROMEM_EMBEDDING="acme")
    acme, builtin = json.loads(shown)
    assert builtin["name"] == "builtin"
    assert (acme["name"], acme["distribution"], acme["version"]) == ("acme", "neuromem-acme", "3.1")
    assert {(offer["hook"], offer["name"], offer["active"]) for offer in acme["offers"]} == {
        ("neuromem_embeddings", "acme", True),
        ("neuromem_retrievers", "abbreviations", True),
        ("neuromem_retrievers", "nicknames", False),
        ("neuromem_scorers", "statements", True),
        ("neuromem_commands", "acme-hello", True),
    }


def test_a_command_of_its_own_is_a_subcommand_of_neuromem(with_acme: Environment) -> None:
    assert with_acme.command("neuromem", "acme-hello").strip() == "Hello from neuromem-acme"


def test_its_public_name_is_importable_from_neuromem(with_acme: Environment) -> None:
    assert with_acme.run("from neuromem import AcmeEmbedding; print(AcmeEmbedding().dims)").strip() == "64"


def test_recall_uses_all_three_through_postgresql(with_acme: Environment, database_url: str) -> None:
    everything, words, without = json.loads(with_acme.run(RECALL, database_url))
    assert {item["content"] for item in everything["vector_results"]} >= {"The weather is fine today"}
    assert without["merged"] == []  # "NYC" alone is in no memory
    found = {item["content"]: item for item in words["merged"]}
    assert set(found) == {"Did you ever live in New York City?", "I moved to New York City last summer"}
    assert {item["source"] for item in found.values()} == {"abbreviations"}
    signals = {content: item["explain"]["signals"]["statements"] for content, item in found.items()}
    assert signals["I moved to New York City last summer"] == 1.0
    assert signals["Did you ever live in New York City?"] == 0.0


PROGRAM = """
from neuromem import NeuroMemory, OpenAILLM
from neuromem.plugin import EmbeddingProvider


async def main(embedding: EmbeddingProvider) -> str:
    async with NeuroMemory("postgresql://localhost/db", embedding, OpenAILLM()) as nm:
        result = await nm.recall(user_id="alice", query="Where?")
        reveal_type(result["merged"])
        return result["merged"][0]["content"]
"""


def test_it_and_a_users_program_type_check_against_the_installed_core(
    with_acme: Environment, tmp_path: Path
) -> None:
    """The program names a provider that is not installed here: that is for the interpreter to say."""
    (tmp_path / "program.py").write_text(PROGRAM)
    command = (sys.executable, "-m", "mypy", "--strict", "--python-executable", str(with_acme.python))
    done = subprocess.run(
        (*command, "--cache-dir", "cache", "program.py", str(ACME / "src" / "neuromem_acme")),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "RecallItem" in done.stdout
