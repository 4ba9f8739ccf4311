"""``neuromem migrate``: a plan changes nothing, a migration needs no embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Cli

SCHEMAS = "SELECT count(*) FROM pg_namespace WHERE nspname = 'other'"


def test_plan_shows_what_migrate_then_does(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROMEM_EMBEDDING", "missing")
    plan = cli("migrate", "--plan", "--schema", "other")
    assert plan.stdout.startswith("0001  ")
    assert "(now: empty)" in plan.stderr
    assert cli.value(SCHEMAS) == 0

    done = cli("migrate", "--schema", "other")
    assert done.stdout == plan.stdout
    assert "was brought from empty up to date" in done.stderr
    assert cli.value(SCHEMAS) == 1

    again = cli("migrate", "--schema", "other")
    assert again.stdout == ""
    assert "is up to date" in again.stderr


def test_an_unreachable_database_is_one_sentence_without_the_password(cli: Cli) -> None:
    result = cli("migrate", "--database-url", "postgresql://ana:sesame@127.0.0.1:9/db", code=1)
    assert "PostgreSQL at 127.0.0.1:9/db cannot be used" in result.stderr
    assert "sesame" not in result.output
    assert "Traceback" not in result.stderr
