"""``neuromem worker`` and ``neuromem jobs``: the work of an application that leaves it to others."""

from __future__ import annotations

import asyncio
import signal
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.conftest import opened
from tests.ingest.extraction.model import answering, completion, echo, llm
from tests.support.http_server import HttpServer, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Cli


@pytest.fixture
def model() -> Iterator[HttpServer]:
    with running_server() as server:
        server.always = answering(echo)
        yield server


@pytest.fixture
def factory(cli: Cli, model: HttpServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An application's module with a factory."""
    source = f"""
        from neuromem import NeuroMemory
        from neuromem.plugin.http import Retry
        from neuromem_openai import OpenAILLM

        def make():
            llm = OpenAILLM("key", "test-model", "{model.url}/v1", retry=Retry(attempts=1))
            work = {{"retry_delay": 0.01, "poll": 0.02, "max_attempts": 1}}
            return NeuroMemory({cli.database_url!r}, llm=llm, worker=False, settings={{"work": work}})

        number = 7

        def wrong():
            return 7
    """
    (cli.folder / "their_app.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(str(cli.folder))
    monkeypatch.delitem(sys.modules, "their_app", raising=False)
    return "their_app:make"


def say(cli: Cli, model: HttpServer, *texts: str) -> None:
    async def run() -> None:
        async with opened(cli.database_url, embedding="hash", llm=llm(model), worker=False) as nm:
            for text in texts:
                await nm.ingest("ana", "user", text, "s")

    asyncio.run(run())


def test_a_worker_does_what_an_application_left_to_others(cli: Cli, model: HttpServer, factory: str) -> None:
    say(cli, model, "I like tea", "I like golf")
    assert model.requests == []
    waiting = {row["kind"]: row["open"] for row in cli.json("jobs", "list")}
    assert waiting == {"embed": 2, "extract": 2}
    assert [row["state"] for row in cli.json("jobs", "list", "--user", "ana")] == ["waiting", "waiting"]
    cli("worker", factory, "--until-done")
    assert cli.json("jobs", "list") == []
    assert cli.value("SELECT count(*) FROM neuromem.memories") == 2


def test_what_was_given_up_is_shown_and_brought_back(cli: Cli, model: HttpServer, factory: str) -> None:
    say(cli, model, "I like tea")
    model.always = completion("no")
    cli("worker", factory, "--until-done")
    (row,) = cli.json("jobs", "list", "--user", "ana")
    assert (row["state"], row["attempts"]) == ("dead", 1)
    assert "in vain" in row["why"]
    assert "in vain" in cli("jobs", "list", "--user", "ana").stdout
    model.always = answering(echo)
    assert "nothing to try again" in cli("jobs", "retry", "--kind", "embed").stdout
    assert "Tried again: 1 extract." in cli("jobs", "retry", "--user", "ana").stdout
    cli("worker", factory, "--until-done")
    assert cli.json("jobs", "list") == []


def test_a_worker_without_a_model_leaves_extraction_to_others(cli: Cli, model: HttpServer) -> None:
    say(cli, model, "I like tea")
    cli("worker", "--until-done", "--llm", "none")
    assert [row["kind"] for row in cli.json("jobs", "list")] == ["extract"]


def test_a_worker_ends_when_it_is_told_to(cli: Cli) -> None:
    process = cli.start("worker", "--llm", "none")
    assert process.stderr is not None
    assert "Working" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("factory_name", "said"),
    [
        ("their_app", "names no factory"),
        ("their_app:none", "cannot be imported"),
        ("nowhere:make", "cannot be imported"),
        ("their_app:wrong", "not a NeuroMemory"),
    ],
)
def test_a_factory_that_is_none_is_explained(cli: Cli, factory: str, factory_name: str, said: str) -> None:
    assert said in cli("worker", factory_name, code=1).stderr
