"""``neuromem digest``: what it finds and shows, and what it says without a model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.conftest import opened
from tests.digest.model import by_word
from tests.ingest.extraction.model import answering
from tests.support.http_server import running_server

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Cli


def test_insights_are_looked_for_and_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill() -> None:
        async with opened(cli.database_url, embedding="hash") as nm:
            for day in ("Monday", "Friday"):
                await nm.add_memory("ana", f"Runs on {day}")

    asyncio.run(fill())
    without = cli("digest", "--user", "ana", "--llm", "none")
    assert "0 memories were digested" in without.stdout
    assert "2 memories wait for an LLM" in without.stderr
    with running_server() as model:
        model.always = answering(by_word)
        monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
        found = cli("digest", "--user", "ana", "--llm", "openai:test-model")
    assert "2 memories were digested; 1 insights are new." in found.stdout
    assert "Often Runs" in found.stdout
    assert "established" in found.stdout
    (known,) = cli.json("digest", "--user", "ana", "--llm", "none")["insights"]
    assert (known["content"], len(known["source_ids"])) == ("Often Runs", 2)
