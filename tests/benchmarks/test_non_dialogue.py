"""The set of other texts asks for what it holds."""

from __future__ import annotations

import json

from benchmarks import non_dialogue
from benchmarks.support import metrics


def test_every_answer_is_there() -> None:
    data = json.loads(non_dialogue.DATA.read_text())
    there = {
        "facts": {str(i) for i in range(len(data["facts"]["items"]))},
        "notes": {
            f"{i}:{j}" for i, (_, said) in enumerate(data["notes"]["sessions"]) for j in range(len(said))
        },
        "documents": {
            f"{i}:{j}" for i, (_, text) in enumerate(data["documents"]["files"]) for j in range(len(text))
        },
    }
    for part, known in there.items():
        for question, answers in data[part]["questions"]:
            assert answers, question
            assert {str(answer) for answer in answers} <= known, question


def test_the_table_shows_every_part() -> None:
    found = metrics.judge([frozenset({"1"})], [frozenset({"1"})])
    shown = non_dialogue.text(
        {"facts": {"recall": found}, "notes": {"recall": found}}, {"data": "non_dialogue.json"}
    )
    assert "facts" in shown
    assert "notes" in shown
