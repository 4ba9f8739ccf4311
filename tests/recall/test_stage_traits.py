"""A stranger's retriever has weight, neighbors and absolute scores like ours, by what stands on its `StageSpec`."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from neuromem import builtin
from neuromem.plugin import StageSpec, hookimpl
from tests.conftest import opened
from tests.packaging.conftest import ACME

if TYPE_CHECKING:
    from neuromem.plugin import Retriever

FOUND, NEXT, OTHER = "Robert called yesterday", "He sells the boat", "Bob is a palindrome"
# Only the lists of words and of nicknames have a say, and nothing is added to what they give.
SETTINGS: dict[str, Any] = {
    "disable": [spec.name for spec in builtin.neuromem_scorers()],
    "plugins": {"normalized": {"weights": {"vector": 0.0}, "session": 0.0}},
}


class Acme:
    """Offers the retriever of the distribution neuromem-acme, with some of what it says of itself changed."""

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    @hookimpl
    def neuromem_retrievers(self) -> list[StageSpec[Retriever]]:
        specs = importlib.import_module("neuromem_acme.plugin").neuromem_retrievers()
        (spec,) = (spec for spec in specs if spec.name == "nicknames")
        return [replace(spec, default=True, **self._changes)]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ACME / "src"))


async def fused(url: str, **changes: Any) -> dict[str, float]:
    """Ask for Bob, and return the fused score of everything."""
    async with opened(url, plugins=[Acme(**changes)], auto_extract=False, settings=SETTINGS) as nm:
        if not (await nm.stats("alice"))["messages"]:
            for content in (FOUND, NEXT):
                await nm.ingest("alice", "user", content, session_id="a")
            await nm.ingest("alice", "user", OTHER, session_id="b")
            await nm.drain()
        answer = await nm.recall("alice", "Where is Bob?", explain=True)
    return {item["content"]: item["explain"]["fused"] for item in answer["merged"]}


async def test_each_trait_of_a_strangers_retriever_counts(database_url: str) -> None:
    # The list of words weighs 1 and that of nicknames 3, times the 0.5 of which it is sure.
    assert await fused(database_url) == pytest.approx({FOUND: 0.6, OTHER: 0.4, NEXT: 0.6 * 0.6})
    assert await fused(database_url, weight=None) == pytest.approx(
        {OTHER: 2 / 3, FOUND: 1 / 3, NEXT: 0.6 / 3}
    )
    assert await fused(database_url, absolute=False) == pytest.approx({FOUND: 0.75, NEXT: 0.45, OTHER: 0.25})
    assert await fused(database_url, neighbor_weights=()) == pytest.approx(
        {FOUND: 0.6, OTHER: 0.4, NEXT: 0.0}
    )


async def test_how_a_missing_score_and_a_small_spread_are_read_is_the_strangers_to_say(
    database_url: str,
) -> None:
    # What the list does not have is as good as its mean: of one candidate, as good as that.
    unknown = await fused(database_url, missing_score="mean", neighbor_weights=())
    assert unknown == pytest.approx({FOUND: 0.6, OTHER: 1.0, NEXT: 0.6})
    # From 0 for its neighbor to 0.5 is half of the range, so the neighbor's side of it is stretched half as far.
    stretched = await fused(database_url, smallest_spread=1.0)
    assert stretched == pytest.approx({FOUND: 0.6, OTHER: 0.7, NEXT: 0.6 * 0.8})


async def test_a_strangers_list_by_vectors_says_how_it_searched(database_url: str) -> None:
    async with opened(
        database_url, plugins=[Acme(uses_vectors=True)], auto_extract=False, settings={"disable": ["vector"]}
    ) as nm:
        await nm.ingest("alice", "user", FOUND)
        answer = await nm.recall("alice", "Where is Bob?", explain=True)
        arms = answer["merged"][0]["explain"]["arms"]
        await nm.drain()
    assert arms["nicknames"]["search"] == "exact"
