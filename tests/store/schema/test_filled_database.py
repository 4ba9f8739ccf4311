"""A database that was filled before the tables were renamed: migrated, it says what it said, and goes on.

``data/filled-0012.sql.gz`` is a dump of what the last code with revision 0012 stored for three users: messages with an
extraction behind them, memories with versions, relations that ended, a profile, a document, insights, work that waits;
``data/filled-0012.json`` is what that code then answered. What changes with time (ages, confidence that decays) is left
out.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from neuromem.testing import HashEmbedding
from neuromem_local import FolderStorage
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem.memory import NeuroMemory
    from tests.conftest import Server

DATA = Path(__file__).parent / "data"
QUESTION = "Where does she live and what does she drink?"


def plain(value: Any) -> Any:
    """Return what an answer is made of as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "items"):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


async def state(nm: NeuroMemory, user: str, moment: datetime) -> dict[str, Any]:
    """Return what is known of a user, now and at a moment."""
    sessions = await nm.conversations.list_sessions(user)
    said = [await nm.conversations.get_session_messages(user, session.id) for session in sessions]
    emotion = await nm.emotion_profile(user)
    found: dict[str, Any] = {
        "messages": [message for messages in said for message in messages],
        "documents": await nm.files.list(user),
        "emotion": {key: emotion[key] for key in ("arousal_avg", "dominant_emotions", "valence_avg")},
    }
    for name, at in (("now", None), ("then", moment)):
        found[f"memories_{name}"] = await nm.list_memories(user, limit=1_000, as_of=at)
        found[f"edges_{name}"] = await nm.graph.list_edges(user, as_of=at, include_ended=True, limit=1_000)
        found[f"kv_{name}"] = await nm.kv.list(user, "profile", as_of=at)
    then = await nm.recall(user, QUESTION, as_of=moment)
    found["recall_then"] = [
        [item["id"], item["content"], round(item["score"], 6), round(item["relevance"], 6)]
        for item in then["merged"]
    ]
    found["recall_now"] = sorted(item["id"] for item in (await nm.recall(user, QUESTION))["merged"])
    shown: dict[str, Any] = plain(found)
    for memory in (*shown["memories_now"], *shown["memories_then"]):
        if memory["memory_type"] == "insight":
            del memory["confidence"]
    return shown


@pytest.fixture
async def filled_url(server: Server) -> AsyncIterator[str]:
    """A database as the last code before revision 0013 left it."""
    name = await server.create()
    await server.execute(gzip.decompress((DATA / "filled-0012.sql.gz").read_bytes()).decode(), database=name)
    url = server.postgres.url(name)
    yield url
    await server.drop(urlsplit(url).path[1:])


async def test_nothing_is_lost_and_everything_goes_on(filled_url: str, tmp_path: Path) -> None:
    expected = json.loads((DATA / "filled-0012.json").read_text(encoding="utf-8"))
    options: dict[str, Any] = {
        "embedding": HashEmbedding(16),
        "graph_enabled": True,
        "storage": FolderStorage(tmp_path),
    }
    async with opened(filled_url, worker=False, **options) as nm:
        for user, known in expected["users"].items():
            found = await state(nm, user, datetime.fromisoformat(expected["moments"][user]))
            # One message was stored after these answers were written down.
            found["messages"] = [message for message in found["messages"] if message["session_id"] == "first"]
            assert set(known.pop("recall_now")) <= set(found.pop("recall_now"))
            assert found == known, user
    async with opened(filled_url, **options) as nm:
        await nm.drain()  # what waited for its embedding
        waited = await nm.recall("alice", "What is not yet embedded?")
        assert "Not yet embedded" in [item["content"] for item in waited["vector_results"]]
        assert (await nm.recall("carol", "n42"))["merged"][0]["content"] == "n42"
        await nm.delete_user_data("carol")
        assert not (await nm.recall("carol", "n42"))["merged"]
