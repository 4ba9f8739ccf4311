"""``neuromem reembed`` and ``neuromem spaces``: another model, opened with the new one alone, and an end to the old."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Cli


def test_the_advice_of_the_error_is_true(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    file = cli.file("said.jsonl", [{"role": "user", "content": "The ferry leaves at noon"}])
    cli("ingest", "--user", "alice", file)

    monkeypatch.setenv("NEUROMEM_EMBEDDING", "hash:other")
    refused = cli("recall", "--user", "alice", "When does the ferry leave?", code=1)
    assert "run `neuromem reembed` with the new model" in refused.stderr

    changed = cli("reembed")
    assert ":other (32 dimensions) now." in changed.stdout
    found = cli.json("recall", "--user", "alice", "When does the ferry leave?")
    assert found["vector_results"][0]["content"] == "The ferry leaves at noon"

    listed = cli.json("spaces", "list")
    assert [(space["space"], space["state"]) for space in listed] == [(1, "idle"), (2, "active")]
    assert "is searched by" in cli("spaces", "drop", "2", code=1).stderr
    assert ":hash (64 dimensions) is dropped, with 1 vectors." in cli("spaces", "drop", "1").stdout
    assert cli.value("SELECT count(*) FROM neuromem.vectors") == 1
    assert cli.value("SELECT count(*) FROM neuromem.spaces") == 1


def test_the_index_of_a_user_with_many_vectors_is_asked_for_after_the_change(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = cli.file("said.jsonl", [{"role": "user", "content": f"Ferry {i}"} for i in range(3)])
    cli("ingest", "--user", "alice", file)
    monkeypatch.setenv("NEUROMEM_EMBEDDING", "hash:other")
    monkeypatch.setenv("NEUROMEM_VECTORS__EXACT_LIMIT", "2")
    cli("reembed")
    assert cli.value("SELECT count(*) FROM neuromem.jobs WHERE kind = 'index'") == 1
