"""What an extraction costs of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.support.statements import Statements
from neuromem.testing.internals import database_of, serve_one_claim
from tests.conftest import opened
from tests.ingest.extraction.model import answering, llm

if TYPE_CHECKING:
    from tests.support.http_server import HttpServer


def much(shown: dict[str, Any]) -> dict[str, Any]:
    """Make five facts, three episodes, three relations and a profile of a turn."""
    what = next(turn["text"] for turn in shown["conversation"] if turn.get("new"))
    return {
        "facts": [{"content": f"{what} fact {i}", "subject": "user"} for i in range(5)],
        "episodes": [{"content": f"{what} day {i}", "date": f"2024-01-0{i + 1}"} for i in range(3)],
        "relations": [
            {
                "subject": "user",
                "subject_type": "USER",
                "relation": relation,
                "object": what,
                "object_type": "ENTITY",
            }
            for relation in ("LIVES_IN", "USES", "mentors")
        ],
        "profile": {"occupation": what, "interests": [what]},
        "withdrawn": [{"key": "preferences", "entry": "likes tea"}],
    }


async def test_an_extraction_takes_at_most_twelve_statements(database_url: str, model: HttpServer) -> None:
    """From taking the job to its end, whatever comes of it, as the driver sends them."""
    model.always = answering(much)
    async with opened(database_url, llm=llm(model), graph_enabled=True, worker=False) as nm:
        await nm.kv.set("alice", "profile", "preferences", ["likes tea"])
        for text in ("first", "second"):
            await nm.ingest("alice", "user", text)
        sent = Statements(nm)
        for _ in range(2):
            sent.reset()
            assert await serve_one_claim(nm, "extract:llm", "extract")
            assert 0 < sent.statements <= 12
        async with database_of(nm).user("alice") as transaction:
            counts = await transaction.first(
                "SELECT (SELECT count(*) FROM {s}.memories) AS memories, (SELECT count(*) FROM {s}.edges) AS edges"
            )
        assert counts is not None
        assert counts.memories == 16
        assert counts.edges >= 6
        profile = (await nm.recall("alice", "What?"))["user_profile"]
        assert profile == {"occupation": "second", "interests": ["first", "second"]}
        assert (await nm.usage("alice"))["extraction"]["calls"] == 2
