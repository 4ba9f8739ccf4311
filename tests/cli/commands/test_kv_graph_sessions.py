"""``neuromem kv``, ``graph`` and ``sessions``: what they print for people and for programs."""

from __future__ import annotations

import asyncio
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.domain.graph import EdgeType, NodeType
from tests.conftest import opened
from tests.ingest.test_chat_exports import CHATGPT, CLAUDE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli

ANA = ("--user", "ana")


def test_pairs_are_set_shown_and_deleted(cli: Cli) -> None:
    cli("kv", "set", "interests", '["tea", "北京"]', *ANA)
    cli("kv", "set", "occupation", "engineer", *ANA)
    assert json.loads(cli("kv", "get", "interests", *ANA).stdout) == ["tea", "北京"]
    assert cli.json("kv", "list", *ANA) == [
        {"key": "interests", "value": ["tea", "北京"]},
        {"key": "occupation", "value": "engineer"},
    ]
    assert cli.json("kv", "list", "--prefix", "occ", "--namespace", "profile", *ANA)[0]["value"] == "engineer"
    assert '["tea", "北京"]' in cli("kv", "list", *ANA).stdout
    cli("kv", "delete", "interests", *ANA)
    assert "has no 'interests'" in cli("kv", "get", "interests", *ANA, code=1).stderr
    assert "has no 'interests'" in cli("kv", "delete", "interests", *ANA, code=1).stderr
    assert "Nothing was found." in cli("kv", "list", "--user", "bob").stderr


@pytest.fixture
def related(cli: Cli) -> Cli:
    async def fill() -> None:
        async with opened(cli.database_url, embedding="hash", worker=False) as nm:
            for name in ("Bob", "Carol [red]"):
                await nm.graph.create_node("ana", NodeType.PERSON, name)
            await nm.graph.create_edge("ana", "user", "ana", EdgeType.KNOWS, "person", "Bob")
            await nm.graph.create_edge("ana", "person", "Bob", "师傅", "person", "Carol [red]")

    asyncio.run(fill())
    return cli


def test_the_graph_is_shown(related: Cli) -> None:
    assert [node["id"] for node in related.json("graph", "nodes", "--type", "person", *ANA)] == [
        "Bob",
        "Carol [red]",
    ]
    edges = related("graph", "edges", *ANA).stdout
    assert "ana -> KNOWS -> Bob" in edges
    assert "Bob -> 师傅 -> Carol [red]" in edges
    assert [edge["name"] for edge in related.json("graph", "edges", "--relation", "师傅", *ANA)] == ["师傅"]
    assert len(related.json("graph", "edges", "me", *ANA)) == 1
    near = related.json("graph", "neighbors", "me", "--depth", "2", *ANA)
    assert [(item["node"]["id"], item["distance"]) for item in near] == [("Bob", 1), ("Carol [red]", 2)]
    found = related("graph", "path", "me", "person:Carol [red]", *ANA).stdout
    assert found.splitlines() == ["ana -> KNOWS -> Bob", "Bob -> 师傅 -> Carol [red]"]
    assert related.json("graph", "path", "person:Bob", "me", "--directed", *ANA) is None
    assert "write TYPE:ID" in related("graph", "neighbors", "Bob", *ANA, code=2).stderr


def export(folder: Path, *items: dict[str, Any], name: str = "export.zip") -> str:
    path = folder / name
    text = json.dumps(items)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("user.json", "{}")
            archive.writestr("data/conversations.json", text)
    else:
        path.write_text(text)
    return str(path)


def test_exports_become_sessions_and_are_never_stored_twice(cli: Cli, tmp_path: Path) -> None:
    archive = export(tmp_path, CLAUDE, CHATGPT)
    counted = {"sessions": 2, "messages": 6, "too_long": 0}
    assert cli.json("sessions", "import", archive, *ANA) == counted
    assert cli.json("sessions", "import", archive, *ANA) == counted
    listed = cli.json("sessions", "list", *ANA)
    assert [(s["id"], s["title"], s["message_count"]) for s in listed] == [
        ("chatgpt:c1", "Tea", 3),
        ("claude:k1", None, 3),
    ]
    contents = [m["content"] for m in cli.json("sessions", "show", "chatgpt:c1", *ANA)]
    assert contents == ["Which tea?", "Green.", "And this?"]
    assert "Hello!" in cli("sessions", "show", "claude:k1", *ANA).stdout


def test_a_newer_export_adds_what_is_new(cli: Cli, tmp_path: Path) -> None:
    older = {**CLAUDE, "chat_messages": CLAUDE["chat_messages"][:1]}
    cli("sessions", "import", export(tmp_path, older, name="old.json"), *ANA)
    assert "3 messages in 1 sessions" in cli("sessions", "import", export(tmp_path, CLAUDE), *ANA).stdout
    contents = [m["content"] for m in cli.json("sessions", "show", "claude:k1", *ANA)]
    assert contents == ["Hi there", "Hello!", "older form"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[{}]", b"PK\x03\x04 broken", b"[" * 100_000])
def test_what_is_no_export_is_refused_in_a_sentence(cli: Cli, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert "Traceback" not in cli("sessions", "import", str(path), *ANA, code=1).stderr


def test_sessions_are_searched_closed_and_erased(cli: Cli, tmp_path: Path) -> None:
    cli("sessions", "import", export(tmp_path, CHATGPT, CLAUDE), *ANA)
    (best, *_) = cli.json("sessions", "search", "Which tea is green?", "--session", "chatgpt:c1", *ANA)
    assert best["content"] in {"Which tea?", "Green."}
    assert cli.json("sessions", "close", "claude:k1", *ANA)["closed_at"]
    asked = cli("sessions", "delete", "claude:k1", *ANA, code=1, stdin="n\n")
    assert "for good?" in asked.stderr
    assert "3 messages" in cli("sessions", "delete", "claude:k1", "--yes", *ANA).stdout
    assert "has no session" in cli("sessions", "delete", "claude:k1", "--yes", *ANA, code=1).stderr
    assert [s["id"] for s in cli.json("sessions", "list", *ANA)] == ["chatgpt:c1"]
