"""What the model is sent of a window: its data under short labels, and the language to answer in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.memory_types import memory_type_spec
from neuromem.domain.text import language
from neuromem.structured_output.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from neuromem.domain.extraction import Window
    from neuromem.domain.memories import Memory
    from neuromem.domain.messages import Message

UNKNOWN_LANGUAGE = "the one in which the new turns are written"


class WindowLabels:
    """Labels of a window's messages ("m1") and known memories ("k1"), and what a reply means by them."""

    def __init__(self, window: Window) -> None:
        turns = sorted(
            [*window.messages, *window.context], key=lambda m: (m.occurred_at, m.session_id, m.position)
        )
        self.turns = Labels({"m": turns})
        self.known = Labels({"k": window.known})
        self._by_id = {turn.id: turn for turn in turns}
        self._latest = max(message.occurred_at for message in window.messages)
        self._only_id = window.messages[0].id if len(window.messages) == 1 else None

    def source_ids(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the ids of the messages with these labels.

        An item that names no message can only come from the new message if there is just one.
        """
        found = tuple(dict.fromkeys(turn.id for turn in self.turns.resolve_all(labels)))
        return found or ((self._only_id,) if self._only_id else ())

    def spoken_at(self, labels: Sequence[str]) -> datetime:
        """Return when the last of these messages was spoken, in the speaker's time zone."""
        return max((turn.occurred_at for turn in self.turns.resolve_all(labels)), default=self._latest)

    def speaker(self, source_ids: Sequence[str]) -> str:
        """Return the name, else the role, of the one who spoke the first of these messages."""
        for source in source_ids:
            turn = self._by_id[source]
            return turn.name or turn.role
        return "user"


def prompt_data(window: Window, labels: WindowLabels) -> dict[str, Any]:
    """Return the JSON object that the prompt describes: language, conversation, known memories, profile."""
    new = {message.id for message in window.messages}
    return {
        "language": reply_language(window),
        "conversation": [_turn(label, turn, new=turn.id in new) for label, turn in labels.turns.items()],
        "known": [_known_memory(label, memory) for label, memory in labels.known.items()],
        "profile": dict(window.profile),
    }


def reply_language(window: Window) -> str:
    """Return the language to answer in: as the new messages declare, as detected in them, as the user usually writes.

    Detection comes before the user's setting: what is plainly written in one language is not noted in another.
    """
    declared = next((message.language for message in window.messages if message.language), None)
    code = (
        declared
        or _detect(window.messages)
        or window.language
        or _detect([*window.context, *window.messages])
    )
    return language.language_with_name(code) if code else UNKNOWN_LANGUAGE


def _turn(label: str, message: Message, *, new: bool) -> dict[str, Any]:
    moment = message.occurred_at
    turn: dict[str, Any] = {
        "id": label,
        "speaker": message.name or message.role,
        "role": message.role,
        "time": f"{moment:%Y-%m-%d %H:%M %A} {moment:%Z}".strip(),
        "text": message.content,
    }
    return {**turn, "new": True} if new else turn


def _known_memory(label: str, memory: Memory) -> dict[str, Any]:
    known: dict[str, Any] = {"id": label, "content": memory.content}
    when = memory.occurred_at if memory_type_spec(memory.memory_type).dated_when_known else None
    return {**known, "date": when.date().isoformat()} if when else known


def _detect(turns: Iterable[Message]) -> str | None:
    return language.detect_language("\n".join(turn.content for turn in turns if turn.role != "system"))
