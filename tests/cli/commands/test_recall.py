"""``neuromem recall``: what it prints for people and for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "I play the violin in an orchestra", "date": "2024-03-01", "speaker": "Ana"},
    {"role": "user", "content": "The cat sleeps [red]there[/red]", "date": "2024-04-01"},
]


@pytest.fixture
def filled(cli: Cli) -> Cli:
    cli("ingest", cli.file("talk.jsonl", TALK), "--user", "ana")
    return cli


def test_the_table_shows_the_best_first_as_it_was_said(filled: Cli) -> None:
    result = filled("recall", "Where does the cat sleep?", "--user", "ana")
    best, _ = [line for line in result.stdout.splitlines() if "2024-" in line]
    assert "The cat sleeps [red]there[/red]" in best
    assert "2024-04-01" in best


def test_json_is_the_whole_result_and_nothing_else(filled: Cli) -> None:
    result = filled("recall", "Who plays the violin?", "--user", "ana", "--json", "--explain", "--limit", "1")
    answer = json.loads(result.stdout)
    (best,) = answer["merged"]
    assert best["content"] == TALK[0]["content"]
    assert datetime.fromisoformat(best["occurred_at"]) == datetime(2024, 3, 1, tzinfo=UTC)
    assert best["explain"]["arms"]["bm25"]["rank"] == 1
    assert answer["pending"] == 0


def test_explain_shows_rank_and_score_in_each_arm_and_the_signals(filled: Cli) -> None:
    shown = filled("recall", "Who plays the violin?", "--user", "ana", "--explain").stdout
    assert "bm25 #1 (" in shown
    assert "vector #1 (" in shown
    assert "signals: " in shown
    assert "recency 0." in shown


def test_as_of_answers_from_what_was_known_then(filled: Cli) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    result = filled("recall", "violin", "--user", "ana", "--as-of", yesterday)
    assert result.stdout == ""
    assert "Nothing was found." in result.stderr


def test_min_score_and_type_narrow(filled: Cli) -> None:
    question = ("recall", "Who plays the violin?", "--user", "ana")
    relevant = filled.json(*question, "--min-score", "0.5")["merged"]
    assert [item["content"] for item in relevant] == [TALK[0]["content"]]
    assert filled.json(*question, "--type", "fact")["merged"] == []


def test_another_user_finds_nothing(filled: Cli) -> None:
    assert filled.json("recall", "violin", "--user", "bob")["merged"] == []


def test_what_was_stored_cannot_steer_the_terminal(cli: Cli) -> None:
    cli(
        "ingest", cli.file("talk.jsonl", [{"role": "user", "content": "violin \x1b[2J\x07"}]), "--user", "ana"
    )
    shown = cli("recall", "violin", "--user", "ana").stdout
    assert "violin \N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}" in shown
    assert "\x1b" not in shown


def test_a_moment_that_is_none_is_a_usage_error(cli: Cli) -> None:
    complaint = cli("recall", "violin", "--user", "ana", "--as-of", "yesterday", code=2).stderr
    assert "'yesterday' is no date; write it in ISO 8601" in complaint
