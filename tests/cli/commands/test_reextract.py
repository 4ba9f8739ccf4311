"""``neuromem reextract``: shows what would change, and changes it when it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.conftest import opened
from tests.ingest.extraction.model import answering, llm
from tests.support.http_server import running_server

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Cli


def saying(*facts: str, **more: Any) -> Any:
    """A model that makes these facts of whatever it is shown."""
    return answering(lambda shown: {"facts": [{"content": fact} for fact in facts], **more})


def test_what_would_change_is_shown_and_changed_on_demand(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server() as model:
        model.always = saying("Ana drinks tea.", "Ana says hello.", profile={"interests": ["tea"]})

        async def fill() -> None:
            async with opened(cli.database_url, embedding="hash", llm=llm(model)) as nm:
                await nm.ingest("ana", "user", "Hello, I drink green tea", "s")

        asyncio.run(fill())
        monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
        monkeypatch.setenv("NEUROMEM_LLM", "openai:test-model")
        model.always = saying("Ana drinks green tea.", "Ana is polite.")
        arguments = ("reextract", "--user", "ana", "--session", "s", "--after", "2020-01-01")
        shown = cli(*arguments)
        for line in (
            "+ Ana is polite.",
            "~ Ana drinks tea. => Ana drinks green tea.",
            "- Ana says hello.",
            "~ profile interests: ['tea'] => None",
            "1 messages were read again; 0 memories are as they were.",
        ):
            assert line in shown.stdout
        assert "--apply" in shown.stderr
        assert cli.json(*arguments)["applied"] is False
        assert "--apply" not in cli(*arguments, "--apply").stderr
        assert cli.json(*arguments)["unchanged"] == 2
    assert cli.json("reextract", "--user", "ana", "--before", "2020-01-01")["messages"] == 0
