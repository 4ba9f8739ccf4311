"""``neuromem files``: what it prints for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli

ANA = ("--user", "ana")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROMEM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NEUROMEM_STORAGE", "local")


def test_files_are_uploaded_found_fetched_and_deleted(cli: Cli, tmp_path: Path) -> None:
    whales, notes = tmp_path / "whales.md", tmp_path / "notes.txt"
    whales.write_text("Whales are mammals. [red]They breathe air.[/red]")
    notes.write_text("Buy bread.")
    said = cli("files", "upload", str(whales), str(notes), "--category", "sea", "--tag", "big", *ANA).stdout
    assert "whales.md: 1 passage" in said
    listed = cli.json("files", "list", "--tag", "big", "--type", "md", *ANA)
    assert [document["filename"] for document in listed] == ["whales.md"]
    assert "sea" in cli("files", "list", *ANA).stdout
    (found, *_) = cli.json("files", "search", "What do whales breathe?", *ANA)
    assert (found["position"], found["document"]["filename"]) == (0, "whales.md")
    shown = cli("files", "search", "whales", *ANA).stdout
    assert "whales.md #0" in shown
    assert "[red]They breathe air.[/red]" in shown
    document = listed[0]["id"]
    assert cli("files", "download", document, "-", *ANA).stdout == whales.read_text()
    cli("files", "download", document, str(tmp_path / "copy.md"), *ANA)
    assert (tmp_path / "copy.md").read_bytes() == whales.read_bytes()
    assert cli.json("files", "delete", document, *ANA) == {"deleted": True}
    assert f"has no document '{document}'" in cli("files", "delete", document, *ANA, code=1).stderr
    assert (
        "has no document" in cli("files", "download", document, str(tmp_path / "none"), *ANA, code=1).stderr
    )
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_taken_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and nothing else")
    result = cli("files", "upload", str(broken), *ANA, code=1)
    assert "The file 'broken.pdf' of user 'ana' is a broken PDF" in result.stderr
    assert "Traceback" not in result.stderr
