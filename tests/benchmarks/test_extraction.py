"""What scores a model's extraction, and what counts our own cost, against a server that replays what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import extraction, overhead
from benchmarks.support.replay import Replay, replaying
from tests.benchmarks.test_retrieval import LOCOMO, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    import pytest


class Forgetful(Replay):
    """Knows half of what was recorded, and makes something up for it."""

    def reply(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply with one fact made up."""
        made = super().reply(shown)
        for fact in made["facts"]:
            if "accordions" in fact["content"]:
                fact["content"] = "Somebody sails to Iceland on Tuesdays."
        return made


async def scores(path: Path, url: str, replay: Replay) -> dict[str, str]:
    with replaying(replay) as address:
        options = ["--data", str(path), "--embedding", "hash", "--database-url", url, "--api-key", "none"]
        told = await extraction.run(
            extraction.parser().parse_args([*options, "--base-url", address, "--model", "replay"])
        )
    title, _, row = told.splitlines()[0], *told.splitlines()[-2:]
    assert title.startswith("replay, ")
    names = [
        "conversation",
        "turns",
        "recorded",
        "extracted",
        "recall",
        "precision",
        "yesterdays",
        "calls",
        "in",
        "out",
    ]
    return dict(zip(names, row.split(), strict=False))


async def test_a_model_that_says_what_was_recorded_scores_full_marks(tmp_path: Path, empty_url: str) -> None:
    found = await scores(write(tmp_path, LOCOMO), empty_url, Replay(LOCOMO))
    assert (found["turns"], found["recorded"], found["extracted"]) == ("4", "2", "2")
    assert (found["recall"], found["precision"]) == ("1.000", "1.000")
    assert int(found["calls"]) >= 2
    assert int(found["in"].replace(",", "")) > int(found["out"].replace(",", "")) > 0


async def test_a_model_that_forgets_and_invents_loses_both_ways(tmp_path: Path, empty_url: str) -> None:
    found = await scores(write(tmp_path, LOCOMO), empty_url, Forgetful(LOCOMO))
    assert (found["recall"], found["precision"]) == ("0.500", "0.500")


async def test_our_own_cost_is_told_by_part(
    tmp_path: Path, empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(write(tmp_path, LOCOMO)), "--database-url", empty_url, "--warm-up", "1"]
    for more in ([], ["--http", "--window", "2"]):
        told = await overhead.run(overhead.parser().parse_args([*options, "--messages", "3", *more]))
        rows = [line.split() for line in told.splitlines()[3:-1]]
        assert told.splitlines()[-1].startswith("An empty transaction took 0.")
        assert sum("ingest()" in row for row in rows) == 2
        assert sum("extraction" in row for row in rows) == 2
        assert all(float(row[-4]) > 0 for row in rows if "extraction" in row)
