"""The public API does not change by accident."""

from __future__ import annotations

from tests.docs import api


def test_names_and_signatures_are_those_of_the_snapshot() -> None:
    assert api.describe() == api.SNAPSHOT.read_text(encoding="utf-8"), (
        "The public API changed. When that is meant, run `python -m tests.docs.api` and say so in the changelog."
    )


def test_the_reference_says_what_the_code_says() -> None:
    assert api.reference() == api.REFERENCE.read_text(encoding="utf-8"), "Run `python -m tests.docs.api`."
