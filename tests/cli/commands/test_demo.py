"""``neuromem demo``: remembered once, recalled every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.cli.commands.demo import QUESTIONS

if TYPE_CHECKING:
    from tests.cli.conftest import Cli


def test_the_demo_answers_its_questions_and_stores_nothing_twice(cli: Cli) -> None:
    for _ in range(2):
        result = cli("demo")
        assert all(question in result.stdout for question in QUESTIONS)
        assert "Northwind" in result.stdout
        assert "豆包" in result.stdout
        assert "bm25 #1 (" in result.stdout
    assert cli.value("SELECT count(*) FROM neuromem.messages WHERE user_id = 'demo'") == 14
    assert cli.value("SELECT count(DISTINCT session_id) FROM neuromem.messages") == 2
    assert cli.value("SELECT count(*) FROM neuromem.jobs") == 0
