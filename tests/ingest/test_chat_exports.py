"""Exports of ChatGPT and Claude, in the shape in which they are handed out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from neuromem.errors import InputError
from neuromem.ingest.chat_exports import ExportedConversation, exported_conversations


def turn(
    key: str,
    parent: str | None,
    role: str,
    *parts: Any,
    children: tuple[str, ...] = (),
    kind: str = "text",
    **message: Any,
) -> dict[str, Any]:
    return {
        key: {
            "id": key,
            "parent": parent,
            "children": list(children),
            "message": {
                "id": key,
                "author": {"role": role, "name": None},
                "create_time": 1_714_564_800.5,
                "content": {"content_type": kind, "parts": list(parts)},
                "recipient": "all",
                "metadata": {},
                **message,
            },
        }
    }


def chatgpt(mapping: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "title": "Tea",
        "create_time": 1_714_564_800.0,
        "conversation_id": "c1",
        "mapping": mapping,
        **fields,
    }


CHATGPT = chatgpt(
    {
        "root": {"id": "root", "parent": None, "children": ["sys"], "message": None},
        **turn(
            "sys",
            "root",
            "system",
            "",
            children=("q1",),
            metadata={"is_visually_hidden_from_conversation": True},
        ),
        **turn("q1", "sys", "user", "Which tea?", children=("a-old", "a-new")),
        **turn("a-old", "q1", "assistant", "Black."),
        **turn("a-new", "q1", "assistant", "Green.\0", children=("think",)),
        **turn("think", "a-new", "assistant", "hm", kind="thoughts", children=("call",)),
        **turn("call", "think", "assistant", "search(tea)", recipient="browser", children=("tool",)),
        **turn("tool", "call", "tool", "results", children=("q2",)),
        **turn(
            "q2", "tool", "user", {"content_type": "image_asset_pointer"}, "And this?", kind="multimodal_text"
        ),
    },
    current_node="q2",
)
CLAUDE = {
    "uuid": "k1",
    "name": "",
    "created_at": "2024-05-01T12:00:00.123456Z",
    "chat_messages": [
        {
            "uuid": "m1",
            "sender": "human",
            "text": "Hi",
            "content": [{"type": "text", "text": "Hi there"}],
            "created_at": "2024-05-01T12:00:00.123456Z",
        },
        {
            "uuid": "m2",
            "sender": "assistant",
            "text": "",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello!"}],
            "created_at": None,
        },
        {"uuid": "m3", "sender": "human", "text": "  ", "content": [], "created_at": "2024-05-01T12:02:00Z"},
        {"uuid": "m4", "sender": "human", "text": "older form", "created_at": "2024-05-01T12:03:00Z"},
    ],
}


def told(conversation: ExportedConversation) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in conversation.messages]


def read(*exported: dict[str, Any]) -> list[ExportedConversation]:
    return list(exported_conversations(json.loads(json.dumps(exported))))


def test_chatgpt_gives_the_current_branch_and_only_what_was_said() -> None:
    (found,) = read(CHATGPT)
    assert (found.session_id, found.title) == ("chatgpt:c1", "Tea")
    assert told(found) == [("user", "Which tea?"), ("assistant", "Green."), ("user", "And this?")]
    first = found.messages[0]
    assert first.get("idempotency_key") == "chatgpt:c1:q1"
    assert first.get("occurred_at") == datetime(2024, 5, 1, 12, 0, 0, 500_000, tzinfo=UTC)


def test_chatgpt_without_a_current_node_ends_at_its_newest_message() -> None:
    mapping = {
        **turn("q", None, "user", "Q", children=("old", "new")),
        **turn("old", "q", "assistant", "old", create_time=1.0),
        **turn("new", "q", "assistant", "new", create_time=2.0),
    }
    (found,) = read(chatgpt(mapping))
    assert told(found) == [("user", "Q"), ("assistant", "new")]


def test_a_branch_that_bites_its_tail_ends() -> None:
    mapping = {
        **turn("a", "b", "user", "A", children=("b",)),
        **turn("b", "a", "assistant", "B", children=("a",)),
    }
    (found,) = read(chatgpt(mapping, current_node="b"))
    assert told(found) == [("user", "A"), ("assistant", "B")]


def test_claude_gives_texts_without_thinking_and_dates_without_gaps() -> None:
    (found,) = read(CLAUDE)
    assert (found.session_id, found.title) == ("claude:k1", None)
    assert told(found) == [("user", "Hi there"), ("assistant", "Hello!"), ("user", "older form")]
    moment = datetime(2024, 5, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    assert [message.get("occurred_at") for message in found.messages][:2] == [moment, moment]


def test_both_may_stand_in_one_list_and_empty_ones_are_left_out() -> None:
    found = read(CHATGPT, chatgpt({}, conversation_id="empty"), CLAUDE)
    assert [conversation.session_id for conversation in found] == ["chatgpt:c1", "claude:k1"]


@pytest.mark.parametrize(
    "broken",
    [{}, [1], [{"title": "x"}], [{"mapping": {"a": 1}, "id": "x"}], [{"chat_messages": [], "name": "x"}]],
)
def test_what_is_no_export_says_so(broken: Any) -> None:
    with pytest.raises(InputError, match=r"export"):
        list(exported_conversations(broken))
