"""Asks the model about one batch: what it is shown goes by short names, and it cannot name what it was not shown."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.digest import prompts
from neuromem.digest.reply import SCHEMA, Reply, intact, parse, read
from neuromem.domain.insights import stage
from neuromem.errors import ProviderResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.memories import Memory
    from neuromem.plugin.providers import ChatMessage, LLMProvider
    from neuromem.store.memories.insights import StoredInsight

PROMPT = "digest-1"
MAX_TOKENS = 4096
MAX_SHOWN = 1_000  # characters of a memory
CAREFUL = (
    "Health, religion, politics, sexuality, ethnic origin, money troubles and offenses are sensitive: write about them "
    "only what the user said outright, never what hints, purchases, places or company might suggest.\n"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the model is shown, by the names under which it is."""

    memories: Mapping[str, Memory]
    insights: Mapping[str, StoredInsight]

    @classmethod
    def of(
        cls, batch: Sequence[Memory], related: Sequence[Memory], insights: Sequence[StoredInsight]
    ) -> Shown:
        """Give everything a name."""
        memories = {f"m{i}": memory for i, memory in enumerate(batch, 1)}
        memories |= {f"r{i}": memory for i, memory in enumerate(related, 1)}
        return cls(memories, {f"i{i}": insight for i, insight in enumerate(insights, 1)})

    def evidence(self, names: Sequence[str]) -> tuple[Memory, ...]:
        """Return the memories of these names; others are nobody's."""
        found = (self.memories.get(_name(name, "m")) for name in names)
        return tuple({memory.id: memory for memory in found if memory is not None}.values())

    def insight(self, name: str) -> StoredInsight | None:
        """Return the insight of this name."""
        return self.insights.get(_name(name, "i"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, as far as it could be read, and by whom and how it was asked."""

    reply: Reply
    origin: Mapping[str, Any] = field(default_factory=dict)


async def ask(llm: LLMProvider, user_id: str, shown: Shown, *, today: datetime, sensitive: bool) -> Answer:
    """Ask once, and once more when the reply is of no use; `ProviderResponseError` when that does not help."""
    system = prompts.read(PROMPT).replace("{sensitive}\n", "" if sensitive else CAREFUL)
    asked: list[ChatMessage] = [
        {"role": "system", "content": system},
        {"role": "user", "content": json.dumps(_shown(shown, today), ensure_ascii=False)},
    ]
    said, reply, fault = await _call(llm, asked, MAX_TOKENS)
    if fault is not None:
        again: list[ChatMessage] = [
            *asked,
            {"role": "assistant", "content": said[:4_000]},
            {"role": "user", "content": f"{fault} Reply again, with the whole JSON object and nothing else."},
        ]
        said, second, _ = await _call(llm, again, 2 * MAX_TOKENS)
        reply = second or reply
    if reply is None:
        raise ProviderResponseError(
            f"{llm.model!r} of {llm.provider} was asked twice what {len(shown.memories)} memories of user {user_id!r} "
            f"show, in vain; they stay undigested. {fault} It replied: {said[:200]!r}",
            provider=llm.provider,
        )
    model = getattr(said, "model", None) or llm.model
    return Answer(reply, {"by": "digest", "model": model, "prompt": PROMPT})


async def _call(
    llm: LLMProvider, asked: Sequence[ChatMessage], max_tokens: int
) -> tuple[str, Reply | None, str | None]:
    """Return the reply, what could be read of it, and what was wrong with it as a whole."""
    said = await llm.chat(asked, temperature=0.2, max_tokens=max_tokens, json_schema=SCHEMA)
    found = parse(said)
    if found is None:
        return said, None, "That was no JSON object with the lists that were asked for."
    reply = read(found)
    if not reply.insights and not intact(said):
        return said, None, "That was no JSON object that can be read to its end."
    if getattr(said, "finish_reason", None) == "length":
        return said, reply, "That was cut off before its end."
    if reply.rejected and not reply.insights:
        return said, reply, f"No item of that could be used ({', '.join(reply.rejected)})."
    return said, reply, None


def _shown(shown: Shown, today: datetime) -> dict[str, Any]:
    memories = [(name, _memory(name, memory)) for name, memory in shown.memories.items()]
    return {
        "today": f"{today:%Y-%m-%d}",
        "memories": [memory for name, memory in memories if name.startswith("m")],
        "related": [memory for name, memory in memories if name.startswith("r")],
        "insights": [
            {"id": name, "content": insight.content, "stage": stage(insight.confidence)}
            for name, insight in shown.insights.items()
        ],
    }


def _memory(name: str, memory: Memory) -> dict[str, Any]:
    moment = memory.occurred_at or memory.created_at
    told = {
        "id": name,
        "content": memory.content[:MAX_SHOWN],
        "date": f"{moment:%Y-%m-%d}",
        "importance": memory.importance,
        "valence": memory.valence,
        "arousal": memory.arousal,
        "emotion": memory.emotion,
    }
    return {key: value for key, value in told.items() if value is not None}


def _name(said: str, letter: str) -> str:
    said = said.strip().lower()
    return f"{letter}{said}" if said.isdigit() else said
