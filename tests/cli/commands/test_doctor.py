"""``neuromem doctor``: what is wrong is found and comes with a way to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Cli

TALK: list[dict[str, Any]] = [{"role": "user", "content": "I play the violin"}]


def found(cli: Cli, status: str, *arguments: str, code: int = 0) -> dict[str, str]:
    """Return the checks of a status: what each found and how to mend it."""
    report = cli.json("doctor", *arguments, code=code)
    assert report["ok"] is (code == 0)
    return {
        check["name"]: f"{check['found']} -> {check['mend']}"
        for check in report["checks"]
        if check["status"] == status
    }


def test_all_is_well_and_nothing_is_changed(cli: Cli) -> None:
    cli("ingest", cli.file("talk.jsonl", TALK), "--user", "ana")
    well = found(cli, "ok")
    assert {
        "python",
        "database",
        "pgvector",
        "role",
        "backup",
        "schema",
        "space",
        "isolation",
        "work",
    } <= set(well)
    assert "a stranger could neither read nor write" in well["isolation"]
    assert "postgres" in well["backup"]
    assert found(cli, "warn") == found(cli, "fail") == {}
    assert cli.value("SELECT count(*) FROM neuromem.users") == 1
    assert "All is well." in cli("doctor").stderr


def test_an_unreachable_database_fails_and_no_password_is_shown(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROMEM_DATABASE_URL", "postgresql://ana:sesame@127.0.0.1:9/db")
    result = cli("doctor", code=1)
    assert "PostgreSQL at 127.0.0.1:9/db cannot be used" in result.stdout
    assert "sesame" not in result.output
    assert "1 fail" in result.stderr


def test_a_superuser_is_warned_that_isolation_does_not_hold(cli: Cli) -> None:
    cli("ingest", cli.file("talk.jsonl", TALK), "--user", "ana")
    database = cli.database_url.partition("?")[0].rpartition("/")[2]
    warned = found(cli, "warn", "--database-url", cli.server.postgres.superuser_url(database))
    assert "postgres is a superuser, so row level security does not hold" in warned["role"]
    assert "could read" in warned["isolation"]


def test_a_table_without_protection_fails(cli: Cli) -> None:
    cli.rows("ALTER TABLE neuromem.messages NO FORCE ROW LEVEL SECURITY")
    failed = found(cli, "fail", code=1)
    assert "not forced on messages" in failed["isolation"]


def test_a_policy_that_lets_strangers_in_is_found_by_trying(cli: Cli) -> None:
    cli.rows("CREATE POLICY open_house ON neuromem.sessions USING (true) WITH CHECK (true)")
    failed = found(cli, "fail", code=1)
    assert "could read sessions and could write for somebody else" in failed["isolation"]


def test_another_embedding_than_the_schema_was_filled_with_fails(cli: Cli) -> None:
    cli("ingest", cli.file("talk.jsonl", TALK), "--user", "ana")
    cli.rows("UPDATE neuromem.spaces SET model = 'older'")
    assert "filled with" in found(cli, "fail", code=1)["space"]


def test_work_that_was_given_up_is_shown_with_its_error(cli: Cli) -> None:
    cli("ingest", cli.file("talk.jsonl", TALK), "--user", "ana", "--no-wait")
    cli.rows("UPDATE neuromem.jobs SET dead = true, error = 'the model is on strike'")
    warned = found(cli, "warn")
    assert "1 given up; last error: the model is on strike" in warned["work"]


def test_migrations_to_come_are_shown(cli: Cli) -> None:
    warned = found(cli, "warn", "--schema", "other")
    assert "(empty)" in warned["schema"]
    assert "Run `neuromem migrate`" in warned["schema"]


def test_a_schema_of_a_newer_version_fails(cli: Cli) -> None:
    cli.rows("UPDATE neuromem.alembic_version SET version_num = '9999'")
    assert "Upgrade neuromem" in found(cli, "fail", code=1)["schema"]


def test_a_database_without_pgvector_says_what_to_run(cli: Cli) -> None:
    cli.rows("DROP EXTENSION vector CASCADE")
    assert "CREATE EXTENSION vector;" in found(cli, "warn", "--schema", "other")["pgvector"]


def test_a_misspelled_variable_is_named_with_the_right_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROMEM_EMBEDING", "secret-value")
    result = cli("doctor", "--json")
    assert "Rename it to NEUROMEM_EMBEDDING." in result.stdout
    assert "secret-value" not in result.output


def test_settings_that_cannot_be_used_fail_without_their_values(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROMEM_RECALL__DEPTH", "sesame")
    complaint = found(cli, "fail", code=1)["settings"]
    assert "recall.depth" in complaint
    assert "sesame" not in complaint


def test_a_broken_plugin_fails_and_the_rest_is_checked(cli: Cli) -> None:
    cli.distributions.install("acme-broken", plugin="broken", source="import no_such_module")
    failed = found(cli, "fail", code=1)
    assert set(failed) == {"plugins"}
    assert "NEUROMEM_DISABLE_PLUGINS=broken" in failed["plugins"]


def test_an_embedding_that_is_not_installed_fails_with_what_to_install(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROMEM_EMBEDDING", "missing")
    assert "No plugin offers the embedding provider 'missing'" in found(cli, "fail", code=1)["embedding"]
