"""Extraction without a model, on 200 messages that were labelled before there was a rule.

The rules were written with the labels at hand, so these figures say what they hold to, not what to expect elsewhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from neuromem.domain.messages import Message
from neuromem_local.rules import RulesExtractor
from tests.conftest import opened

if TYPE_CHECKING:
    from neuromem_local.rules import Said

SAID = Path(__file__).parent / "data" / "said.tsv"
MONDAY = datetime(2023, 5, 8, 12, tzinfo=UTC)
PRECISION, COVERAGE = 0.95, 0.90


def message(text: str) -> Message:
    return Message("1", "u", "s", 0, "user", text, MONDAY, MONDAY, None, {}, None, None)


def told(said: Said) -> set[str]:
    found = {f"{kind}:{value}" for kind, value in said.facts}
    found |= {f"on:{said.day}"} if said.day else set()
    return found | ({f"mood:{'+' if said.mood > 0 else '-'}"} if said.mood else set())


def labelled() -> list[tuple[str, set[str]]]:
    lines = SAID.read_text(encoding="utf-8").splitlines()
    return [
        (text, set(filter(None, labels.split("|"))))
        for text, _, labels in (line.partition("\t") for line in lines)
    ]


def test_what_the_rules_say_is_right_and_how_much_they_say() -> None:
    rules = RulesExtractor()
    right = wrong = missed = 0
    for text, expected in labelled():
        found = told(rules.read(message(text)))
        right += len(found & expected)
        wrong += len(found - expected)
        missed += len(expected - found)
    assert len(labelled()) >= 200
    assert right / (right + wrong) >= PRECISION
    assert right / (right + missed) >= COVERAGE


def test_what_is_asked_supposed_denied_or_reported_gives_no_fact() -> None:
    rules = RulesExtractor()
    for text in (
        "Do I live in Paris?",
        "If I lived in Paris",
        "I don't live in Paris",
        "I used to live in Paris",
        'She said "I live in Paris"',
        "You live in Paris",
        "I might live in Paris",
        "如果我住在北京",
        "我不住在北京",
    ):
        assert rules.read(message(text)).facts == [], text


async def test_a_start_without_any_key_knows_some_facts_and_still_finds_every_message(
    database_url: str,
) -> None:
    async with opened(database_url, graph_enabled=True, auto_extract=True) as nm:
        for text in (
            "I live in Paris with my two cats.",
            "I live in Rome.",
            "I like tea. I went to the dentist yesterday.",
        ):
            await nm.ingest("alice", "user", text, "s", occurred_at=MONDAY)
        await nm.drain()
        found = await nm.recall("alice", "Where does the user live?")
        contents = [item["content"] for item in found["merged"]]
        assert "The user lives in Rome" in contents
        assert "The user lives in Paris" not in contents
        assert "I live in Paris with my two cats." in contents
        episode = next(item for item in found["merged"] if item["memory_type"] == "episodic")
        assert episode["occurred_at"] == datetime(2023, 5, 7, 12, tzinfo=UTC).replace(hour=0)
        assert found["user_profile"]["interests"] == ["tea"]
        homes = await nm.graph.get_neighbors("alice", "USER", "alice", edge_types=["LIVES_IN"])
        assert [home.node.id for home in homes] == ["Rome"]
