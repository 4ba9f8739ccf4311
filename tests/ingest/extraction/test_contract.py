"""The contract's first example as written; only the vendors' addresses lead to local servers."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

from neuromem.memory import NeuroMemory
from neuromem.testing import HashEmbedding
from neuromem_siliconflow import SiliconFlowEmbedding
from tests.ingest.extraction.model import answering
from tests.support.http_server import HttpServer, Reply, Request, running_server

if TYPE_CHECKING:
    import pytest

EXAMPLE = """
from neuromem import NeuroMemory, SiliconFlowEmbedding, OpenAILLM

async def main():
    async with NeuroMemory(
        database_url="postgresql+asyncpg://user:pass@host:5432/db",
        embedding=SiliconFlowEmbedding(api_key="..."),
        llm=OpenAILLM(api_key="...", model="deepseek-chat"),
        auto_extract=True,        # extract memories from every message
        graph_enabled=False,      # store relations in the knowledge graph and use them in recall
        reflection_interval=20,   # digest by itself after every N user messages of a user; 0 = never
    ) as nm:
        msg = await nm.ingest(user_id="alice", role="user", content="I work at Google as a backend engineer",
                              session_id=None)              # None opens a new session
        result = await nm.recall(user_id="alice", query="Where does Alice work?", limit=20,
                                 memory_type=None,          # "fact" | "episodic" | "insight" | "general"
                                 created_after=None, as_of=None)
        for mem in result["merged"]:
            print(f"[{mem['source']}] {mem['content']} (score: {mem['score']:.2f})")
        await nm.digest(user_id="alice", batch_size=50, background=False)
    return msg, result
"""


def embedding(server: HttpServer) -> HttpServer:
    """An embedding API in SiliconFlow's form."""
    inner = HashEmbedding(1024)

    def answer(request: Request) -> Reply:
        texts = request.json["input"]
        vectors = [inner._vector(text) for text in ([texts] if isinstance(texts, str) else texts)]
        return Reply(
            {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)], "usage": {}}
        )

    server.always = answer
    return server


async def test_the_first_example_runs_as_written(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(shown: dict[str, Any]) -> dict[str, Any]:
        if "memories" in shown:  # it is asked to digest
            return {"insights": [], "state": None, "nothing": "one fact shows nothing"}
        return {"facts": [{"content": "Alice works at Google.", "subject": "Alice", "sources": ["m1"]}]}

    with running_server() as vectors, running_server() as chat:
        embedding(vectors)
        chat.always = answering(tell)
        monkeypatch.setenv("SILICONFLOW_BASE_URL", f"{vectors.url}/v1")
        monkeypatch.setenv("DEEPSEEK_BASE_URL", f"{chat.url}/v1")
        names: dict[str, Any] = {}
        source = EXAMPLE.replace("postgresql+asyncpg://user:pass@host:5432/db", database_url)
        exec(textwrap.dedent(source), names)
        message, result = await names["main"]()
        # At once there are the words of the message; whoever leaves the block has its fact.
        assert message.id in {result["merged"][0]["id"], *result["merged"][0]["sources"]}
        assert " (score: " in capsys.readouterr().out
        async with NeuroMemory(
            database_url, SiliconFlowEmbedding(api_key="..."), "none", auto_extract=False
        ) as nm:
            (found,) = (await nm.recall("alice", "Where does Alice work?"))["merged"]
        assert (found["content"], found["sources"]) == ("Alice works at Google.", [message.id])
    assert json.loads(chat.requests[0].body)["model"] == "deepseek-chat"
    assert all(
        request.headers["authorization"] == "Bearer ..." for request in (*chat.requests, *vectors.requests)
    )
