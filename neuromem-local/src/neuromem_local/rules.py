"""An extractor without a model: a few facts that people state about themselves, and days on which something happened.

Precision before coverage: a sentence that asks, supposes, denies, reports what others say, or is not about its speaker
gives nothing. The rules are data (`rules_en`, `rules_zh`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from neuromem.domain.extraction import ExtractedMemory, ExtractedRelation, Extraction
from neuromem_local import rules_en, rules_zh
from neuromem_local.rules_dates import day_in
from neuromem_local.rules_mood import Mood

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neuromem.domain.extraction import Window
    from neuromem.domain.messages import Message

VERSION = "rules-1"
MAX_TEXT = 5_000  # characters; longer ones are pasted, not said
STATES = {"works_at": "WORKS_AT", "lives_in": "LIVES_IN", "born_in": "BORN_IN"}
EDGES = {
    "works_at": ("WORKS_AT", "ORGANIZATION"),
    "lives_in": ("LIVES_IN", "LOCATION"),
    "born_in": ("BORN_IN", "LOCATION"),
    "studied_at": ("STUDIED_AT", "ORGANIZATION"),
    "speaks": ("SPEAKS", "SKILL"),
}
PROFILE = {"likes": "interests", "occupation": "occupation", "name": "identity", "relative": "relationships"}
IMPORTANCE = {"name": 8.0, "allergic": 9.0, "works_at": 7.0, "lives_in": 7.0, "relative": 7.0, "born_in": 7.0}


@dataclass(frozen=True, slots=True)
class Said:
    """What the rules found in one message: facts as kind and value, such as ``("lives_in", "Paris")``, mood and day."""

    facts: Sequence[tuple[str, str]]
    day: str | None
    mood: float | None


class RulesExtractor:
    """Extracts by rules; active when there is no LLM, and never hides the messages themselves."""

    def __init__(self) -> None:
        self._mood = Mood()

    def read(self, message: Message) -> Said:
        """Return what the rules find in a message."""
        text = message.content
        if len(text) > MAX_TEXT:
            return Said((), None, None)
        chinese = rules_zh.is_chinese(text)
        facts = list(rules_zh.facts(text) if chinese else rules_en.facts(text))
        return Said(
            facts, day_in(text, message.occurred_at, chinese=chinese), self._mood.of(text, chinese=chinese)
        )

    async def extract(self, window: Window) -> Extraction:
        """Return the facts and episodes that the rules find in the new messages of a window."""
        memories: list[ExtractedMemory] = []
        relations: list[ExtractedRelation] = []
        profile: dict[str, Any] = {}
        for message in window.messages:
            said = self.read(message)
            memories += self._memories(message, said)
            for kind, value in said.facts:
                relations += _relations(message, kind, value)
                if (key := PROFILE.get(kind)) is not None:
                    if key in ("occupation", "identity"):
                        profile[key] = value
                    else:
                        profile.setdefault(key, []).append(value)
        return Extraction(
            memories=memories,
            relations=relations,
            profile=profile,
            origin={"rules": VERSION},
            why="no rule applies",
        )

    def _memories(self, message: Message, said: Said) -> Iterator[ExtractedMemory]:
        chinese = rules_zh.is_chinese(message.content)
        who = message.name or ("用户" if chinese else "The user")
        for kind, value in said.facts:
            forms = rules_zh.FORMS if chinese else rules_en.FORMS
            yield ExtractedMemory(
                content=forms[kind].format(who=who, value=value),
                memory_type="fact",
                sources=(message.id,),
                subject=message.name or "user",
                category=kind,
                confidence=0.8,
                importance=IMPORTANCE.get(kind, 5.0),
                valence=said.mood,
                entities=(value,),
                states=STATES.get(kind),
            )
        if said.day is not None:
            when = datetime.fromisoformat(said.day).replace(tzinfo=message.occurred_at.tzinfo)
            text = " ".join(message.content.split())
            yield ExtractedMemory(
                content=f"{said.day}: {who}: {text}",
                memory_type="episodic",
                sources=(message.id,),
                subject=message.name or "user",
                confidence=0.8,
                importance=5.0,
                valence=said.mood,
                occurred_at=when,
            )


def _relations(message: Message, kind: str, value: str) -> Iterator[ExtractedRelation]:
    if kind in EDGES:
        relation, object_type = EDGES[kind]
        subject = (message.name, "PERSON") if message.name else ("user", "USER")
        yield ExtractedRelation(*subject, relation, value, object_type, (message.id,), 0.8)
