"""Makes questions, hits, messages and windows to try stages on, without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from neuromem.domain.extraction import Window
from neuromem.domain.messages import Message
from neuromem.domain.query import Query
from neuromem.domain.recall_result import RetrievedItem

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def query(text: str = "Where does Alice work?", **fields: Any) -> Query:
    """Return a question; ``fields`` are those of `neuromem.Query`."""
    return Query(**{"user_id": "alice", "text": text, "now": NOW, "topic": text, **fields})


def hit(content: str = "Alice works at Google", **fields: Any) -> RetrievedItem:
    """Return a hit of which nothing but the content is known; ``fields`` are those of `neuromem.RetrievedItem`."""
    known = {
        "id": content,
        "kind": "memory",
        "score": 0.5,
        "relevance": 0.5,
        "ranks": {"bm25": 1},
        "memory_type": "fact",
        "created_at": NOW,
        "occurred_at": None,
        "metadata": {},
        "sources": (),
    }
    return RetrievedItem(content=content, **{**known, **fields})


def message(content: str = "I work at Google", **fields: Any) -> Message:
    """Return a stored message; ``fields`` are those of `neuromem.Message`."""
    known = {
        "id": f"message: {content}",
        "user_id": "alice",
        "session_id": "monday",
        "position": 0,
        "role": "user",
        "created_at": NOW,
        "occurred_at": NOW,
        "name": None,
        "metadata": {},
        "language": None,
        "idempotency_key": None,
    }
    return Message(content=content, **{**known, **fields})


def window(*contents: str, user_id: str = "alice", **fields: Any) -> Window:
    """Return a window with one new message per text; ``fields`` are those of `neuromem.Window`."""
    messages = [
        message(content, id=f"{user_id}-{position}", user_id=user_id, position=position)
        for position, content in enumerate(contents)
    ]
    return Window(**{"user_id": user_id, "session_id": "monday", "messages": messages, **fields})
