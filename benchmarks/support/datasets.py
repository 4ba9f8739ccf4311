"""Real conversations with questions, read from the formats of LoCoMo and MemoryBank, and from one common format.

The common format is an object: ``language``, and ``conversations`` with ``id``, ``messages`` (``id, session, speaker,
role, date, text``; a message of the role ``memory`` is a fact that is stored as it is) and ``questions`` (``question,
category, evidence``: ids of messages).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# LoCoMo's numbers for its categories; 'all' leaves the adversarial ones out, as reports on it do.
LOCOMO_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
# Nor are those of BEAM that ask for an order or a summary: their evidence is more than ten messages.
NOT_IN_ALL = frozenset({"adversarial", "event_ordering", "summarization"})

ROLES = frozenset({"user", "assistant", "system", "tool"})  # of messages; anybody else is a user with a name
MEMORY = "memory"  # the role of what is stored as a memory

EVIDENCE = re.compile(r"D\d+:\d+")
_SESSION = re.compile(r"session_(\d+)")


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing to be remembered.

    Attributes:
        covers: The turns that it stands for: itself, or those of a fact.
        text: What was said.
        role: The role of a message, or `MEMORY` for what is stored as a memory.
        speaker: The name of who said it, None when that is not told.
        session: The session that it belongs to.
        occurred_at: When it was said; None when that is not told.
    """

    covers: frozenset[str]
    text: str
    role: str
    speaker: str | None
    session: str
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class Question:
    """A question; each of ``sufficient`` is a set of turn ids that answers it, any one will do."""

    text: str
    category: str
    sufficient: tuple[frozenset[str], ...]

    @property
    def evidence(self) -> frozenset[str]:
        """Every turn that is evidence in any way."""
        return frozenset().union(*self.sufficient)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one user is told, and asked."""

    name: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Conversations of one file, in one language."""

    label: str
    digest: str
    language: str
    conversations: tuple[Conversation, ...]

    def choose(self, numbers: Sequence[int]) -> Dataset:
        """Return the conversations of these numbers, counted from 1."""
        return replace(self, conversations=tuple(self.conversations[n - 1] for n in numbers))


def load(path: Path, *, facts: bool = False, captions: bool = True) -> Dataset:
    """Return the conversations of a file, its turns or (LoCoMo only) the facts recorded with it."""
    raw = path.read_bytes()
    data = json.loads(raw)
    if isinstance(data, list):
        conversations = [_locomo(sample, facts=facts, captions=captions) for sample in data]
        language = "en"
    elif isinstance(data, dict) and "users" in data and not facts:
        conversations = [_memorybank(user) for user in data["users"]]
        language = "zh"
    elif isinstance(data, dict) and "conversations" in data and not facts:
        conversations = [_common(conversation) for conversation in data["conversations"]]
        language = data["language"]
    else:
        raise InputError(
            f"{path.name} cannot be read{' as facts' if facts else ''}: give a file in the format of LoCoMo "
            "(a list of conversations) or, as turns only, of MemoryBank (an object with users) or the common one (an "
            "object with conversations)."
        )
    return Dataset(path.name, hashlib.sha256(raw).hexdigest(), language, tuple(conversations))


def numbers(text: str | None, most: int) -> list[int]:
    """Read ``1-3,5`` as [1, 2, 3, 5]; None stands for all."""
    if text is None:
        return list(range(1, most + 1))
    chosen: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        chosen.extend(range(int(first), int(last or first) + 1))
    wrong = [n for n in chosen if not 1 <= n <= most]
    if wrong:
        raise InputError(f"There is no conversation {wrong[0]}; the file has {most}.")
    return chosen


def session_time(text: str) -> datetime:
    """Read LoCoMo's ``1:56 pm on 8 May, 2023``, as UTC."""
    return datetime.strptime(text.strip(), "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)


def _locomo(sample: Mapping[str, Any], *, facts: bool, captions: bool) -> Conversation:
    conversation = sample["conversation"]
    sessions = sorted(int(m[1]) for key in conversation if (m := _SESSION.fullmatch(key)))
    turns: list[Turn] = []
    for n in sessions:
        when = session_time(conversation[f"session_{n}_date_time"])
        if facts:
            turns += _facts(sample["observation"].get(f"session_{n}_observation", {}), f"session_{n}", when)
            continue
        for turn in conversation[f"session_{n}"]:
            caption = turn.get("blip_caption") if captions else None
            text = turn["text"] + (f" [shared image: {caption}]" if caption else "")
            turns.append(
                Turn(frozenset({turn["dia_id"]}), text, "user", turn["speaker"], f"session_{n}", when)
            )
    questions = [
        Question(qa["question"], LOCOMO_CATEGORIES[qa["category"]], (evidence,))
        for qa in sample["qa"]
        if (evidence := frozenset(EVIDENCE.findall(" ".join(qa["evidence"]))))
    ]
    if facts:  # evidence of which no fact tells anything cannot be found
        told = frozenset().union(*(turn.covers for turn in turns))
        questions = [
            replace(question, sufficient=(known,))
            for question in questions
            if (known := question.evidence & told)
        ]
    return Conversation(sample["sample_id"], tuple(turns), tuple(questions))


def _facts(observed: Mapping[str, Sequence[Any]], session: str, when: datetime) -> list[Turn]:
    return [
        Turn(frozenset(EVIDENCE.findall(json.dumps(source))), text, "user", None, session, when)
        for said in observed.values()
        for text, source in said
    ]


def _memorybank(user: Mapping[str, Any]) -> Conversation:
    turns = [
        Turn(
            frozenset({turn["id"]}),
            turn["text"],
            turn["role"],
            None,
            turn["date"],
            datetime.fromisoformat(turn["date"]).replace(tzinfo=UTC),
        )
        for turn in user["turns"]
    ]
    questions = [
        Question(
            qa["question"], "chinese", tuple(frozenset(s) for s in (qa["alternatives"] or [qa["evidence"]]))
        )
        for qa in user["qa"]
        if qa["evidence"]
    ]
    return Conversation(user["name"], tuple(turns), tuple(questions))


def _common(conversation: Mapping[str, Any]) -> Conversation:
    turns = [
        Turn(
            frozenset({message["id"]}),
            message["text"],
            message["role"] if message["role"] in {*ROLES, MEMORY} else "user",
            None if message["speaker"] in {*ROLES, MEMORY} else message["speaker"],
            message["session"],
            _moment(message["date"]),
        )
        for message in conversation["messages"]
    ]
    questions = [
        Question(question["question"], question["category"], (frozenset(question["evidence"]),))
        for question in conversation["questions"]
        if question["evidence"]
    ]
    return Conversation(conversation["id"], tuple(turns), tuple(questions))


def _moment(date: str | None) -> datetime | None:
    """Read a date or a moment; one that names no time zone is in UTC."""
    if date is None:
        return None
    moment = datetime.fromisoformat(date)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
