"""What a model is shown of a window: its data under short names, and the language to answer in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.memory_types import memory_type_spec
from neuromem.domain.text import language

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from neuromem.domain.extraction import Window
    from neuromem.domain.memories import Memory
    from neuromem.domain.messages import Message

NOT_TOLD = "the one in which the new turns are written"


class Names:
    """Short names for what the model is shown: it cannot name what it was not shown."""

    def __init__(self, window: Window) -> None:
        turns = sorted(
            [*window.messages, *window.context], key=lambda m: (m.occurred_at, m.session_id, m.position)
        )
        self.turns = {f"m{i}": turn for i, turn in enumerate(turns, 1)}
        self.of = {turn.id: name for name, turn in self.turns.items()}
        self.known = {f"k{i}": memory for i, memory in enumerate(window.known, 1)}
        self._last = max(message.occurred_at for message in window.messages)
        self._only = window.messages[0].id if len(window.messages) == 1 else None

    def sources(self, said: Sequence[str]) -> tuple[str, ...]:
        """Return the ids of messages; of one new message alone, what names no source can only come from it."""
        found = [self.turns[name].id for part in said if (name := named(part, "m")) in self.turns]
        return tuple(dict.fromkeys(found)) or ((self._only,) if self._only else ())

    def said_at(self, said: Sequence[str]) -> datetime:
        """Return when the last of these turns was said, in the speaker's time."""
        found = [self.turns[name].occurred_at for part in said if (name := named(part, "m")) in self.turns]
        return max(found, default=self._last)

    def speaker(self, sources: Sequence[str]) -> str:
        """Return who said what these messages say."""
        for source in sources:
            turn = self.turns[self.of[source]]
            return turn.name or turn.role
        return "user"


def named(said: str, letter: str) -> str:
    """Return the short name that a model meant: some leave out the letter."""
    said = said.strip().lower()
    return f"{letter}{said}" if said.isdigit() else said


def _turn(name: str, message: Message, *, new: bool) -> dict[str, Any]:
    moment = message.occurred_at
    turn: dict[str, Any] = {
        "id": name,
        "speaker": message.name or message.role,
        "role": message.role,
        "time": f"{moment:%Y-%m-%d %H:%M %A} {moment:%Z}".strip(),
        "text": message.content,
    }
    return {**turn, "new": True} if new else turn


def _known(name: str, memory: Memory) -> dict[str, Any]:
    known: dict[str, Any] = {"id": name, "content": memory.content}
    when = memory.occurred_at if memory_type_spec(memory.memory_type).dated_when_known else None
    return {**known, "date": when.date().isoformat()} if when else known


def shown(window: Window, names: Names) -> dict[str, Any]:
    """Return the data of a window: turns, known memories, profile."""
    new = {message.id for message in window.messages}
    return {
        "language": spoken(window),
        "conversation": [_turn(name, turn, new=turn.id in new) for name, turn in names.turns.items()],
        "known": [_known(name, memory) for name, memory in names.known.items()],
        "profile": dict(window.profile),
    }


def spoken(window: Window) -> str:
    """Return the language that a window is in: as its messages say, as they show, as the user is known to write.

    What is plainly written in one language is not told in another because of a setting.
    """
    said = next((message.language for message in window.messages if message.language), None)
    code = said or _detect(window.messages) or window.language or _detect([*window.context, *window.messages])
    return language.language_with_name(code) if code else NOT_TOLD


def _detect(turns: Iterable[Message]) -> str | None:
    return language.detect_language("\n".join(turn.content for turn in turns if turn.role != "system"))
