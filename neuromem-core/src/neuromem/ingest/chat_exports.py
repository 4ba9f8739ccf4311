"""Turns the JSON that ChatGPT and Claude export into messages.

Both export an archive with ``conversations.json``, a list of conversations. ChatGPT keeps every message and every
rewritten one in a tree (``mapping``); what counts is the branch that ends at ``current_node``. Claude keeps a list
(``chat_messages``). Only the text of user and assistant is taken: no system prompts, calls of tools, reasoning or
images.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from neuromem.domain.messages import MessageDict

ROLE_OF_AUTHOR = {"user": "user", "assistant": "assistant", "human": "user"}
TEXT_TYPES = frozenset({"text", "multimodal_text", "code"})


@dataclass(frozen=True, slots=True)
class ExportedConversation:
    """One conversation of an export; importing it again is recognized by idempotency keys."""

    session_id: str
    title: str | None
    messages: Sequence[MessageDict]


def exported_conversations(exported: object) -> Iterator[ExportedConversation]:
    """Return the conversations of a parsed export that have messages; raises `InputError` for any other JSON."""
    if not isinstance(exported, list):
        raise InputError("An export of ChatGPT or Claude is a list of conversations; this is not one.")
    for place, item in enumerate(exported):
        if not isinstance(item, dict) or not ("mapping" in item or "chat_messages" in item):
            raise InputError(
                f"Conversation {place} of the export has neither 'mapping' (as ChatGPT's) nor 'chat_messages' (as "
                "Claude's)."
            )
        try:
            found = _chatgpt(item) if "mapping" in item else _claude(item)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"Conversation {place} of the export cannot be read: {error!r}.") from error
        if found.messages:
            yield found


def _chatgpt(item: Mapping[str, Any]) -> ExportedConversation:
    source = str(item.get("conversation_id") or item["id"])
    messages = []
    last = _seconds(item.get("create_time"))
    for message in _branch(item["mapping"], item.get("current_node")):
        moment = _seconds(message.get("create_time")) or last
        text = _chatgpt_text(message)
        if text:
            messages.append(
                _message("chatgpt", source, message["id"], message["author"]["role"], text, moment)
            )
            last = moment
    return ExportedConversation(f"chatgpt:{source}", _title(item.get("title")), messages)


def _branch(mapping: Mapping[str, Any], current: str | None) -> list[Mapping[str, Any]]:
    """Return the messages from the beginning to the current one; without one, to the newest."""
    if current not in mapping:
        leaves = [key for key, node in mapping.items() if not node.get("children")]
        current = max(leaves, key=lambda key: _time(mapping[key]), default=None)
    branch: list[Mapping[str, Any]] = []
    seen = set()
    while current is not None and current in mapping and current not in seen:
        seen.add(current)
        node = mapping[current]
        if node.get("message"):
            branch.append(node["message"])
        current = node.get("parent")
    return branch[::-1]


def _time(node: Mapping[str, Any]) -> float:
    return float((node.get("message") or {}).get("create_time") or 0)


def _chatgpt_text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or {}
    hidden = (message.get("metadata") or {}).get("is_visually_hidden_from_conversation")
    if (
        hidden
        or message["author"]["role"] not in ROLE_OF_AUTHOR
        or message.get("recipient", "all") != "all"
        or content.get("content_type") not in TEXT_TYPES
    ):
        return ""
    parts = content.get("parts") or [content.get("text")]
    texts = [part if isinstance(part, str) else (part or {}).get("text") for part in parts]
    return _clean("\n".join(part for part in texts if isinstance(part, str)))


def _claude(item: Mapping[str, Any]) -> ExportedConversation:
    source = str(item["uuid"])
    messages = []
    last = _iso(item.get("created_at"))
    for message in item["chat_messages"]:
        blocks = [block for block in message.get("content") or [] if block.get("type") == "text"]
        text = _clean("\n".join(block.get("text") or "" for block in blocks)) or _clean(
            message.get("text") or ""
        )
        moment = _iso(message.get("created_at")) or last
        if text and message.get("sender") in ROLE_OF_AUTHOR:
            messages.append(_message("claude", source, message["uuid"], message["sender"], text, moment))
            last = moment
    return ExportedConversation(f"claude:{source}", _title(item.get("name")), messages)


def _message(
    origin: Literal["chatgpt", "claude"], source: str, own: str, role: str, text: str, moment: datetime | None
) -> MessageDict:
    return {
        "role": ROLE_OF_AUTHOR[role],
        "content": text,
        "occurred_at": moment,
        "metadata": {"imported_from": origin},
        "idempotency_key": f"{origin}:{source}:{own}",
    }


def _clean(text: str) -> str:
    """Return a text that can be stored: without NUL characters and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode().strip()


def _title(value: object) -> str | None:
    return _clean(value)[:512] or None if isinstance(value, str) else None


def _seconds(value: object) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) and value > 0 else None


def _iso(value: object) -> datetime | None:
    if not isinstance(value, str) or not value:
        return None
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
