"""What the model is sent of a batch of memories, under short labels, and the question whose reply are insights."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.digest.reply_models import DIGEST_SCHEMA, SHAPE, DigestReply, validate_digest_reply
from neuromem.domain.insights import stage
from neuromem.structured_output.ask import JsonQuestion, ask_for_json
from neuromem.structured_output.labels import Labels
from neuromem.structured_output.prompt_text import read_prompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.memories import Memory
    from neuromem.plugin.providers import LLMProvider
    from neuromem.store.memories.insights import StoredInsight

PROMPTS = "neuromem.digest.prompts"
PROMPT = "digest-1"
MAX_TOKENS = 4096
TEMPERATURE = 0.2
MAX_MEMORY_LENGTH = 1_000
"""Characters of a memory that the model is sent."""
CAREFUL = (
    "Health, religion, politics, sexuality, ethnic origin, money troubles and offenses are sensitive: write about them "
    "only what the user said outright, never what hints, purchases, places or company might suggest.\n"
)


class BatchLabels:
    """Labels of a batch ("m1"), of older memories related to it ("r1") and of known insights ("i1")."""

    def __init__(
        self, batch: Sequence[Memory], related: Sequence[Memory], insights: Sequence[StoredInsight]
    ) -> None:
        self.memories = Labels({"m": batch, "r": related})
        self.insights = Labels({"i": insights})

    def evidence(self, labels: Sequence[str]) -> tuple[Memory, ...]:
        """Return the memories with these labels, each once; a label that the model was not shown is left out."""
        return tuple({memory.id: memory for memory in self.memories.resolve_all(labels)}.values())


@dataclass(frozen=True, slots=True)
class DigestAnswer:
    """The insights that the model wrote; ``origin`` names the model and the prompt."""

    reply: DigestReply
    origin: Mapping[str, Any] = field(default_factory=dict)


async def ask_for_insights(
    llm: LLMProvider, user_id: str, labels: BatchLabels, *, today: datetime, sensitive: bool
) -> DigestAnswer:
    """Ask the model what a batch shows, and once more when its reply cannot be used.

    Args:
        llm: The model.
        user_id: The user, for the error message.
        labels: The data.
        today: The date that the model is given.
        sensitive: Whether it may infer what is sensitive.

    Raises:
        ProviderResponseError: Both replies were unusable.
    """
    system = read_prompt(PROMPTS, PROMPT).replace("{sensitive}\n", "" if sensitive else CAREFUL)
    question = JsonQuestion(
        messages=[
            {"role": "system", "content": system},
            {"role": "user", "content": json.dumps(_prompt_data(labels, today), ensure_ascii=False)},
        ],
        schema=DIGEST_SCHEMA,
        shape=SHAPE,
        validate=validate_digest_reply,
        purpose=f"for insights from {len(labels.memories)} memories of user {user_id!r} (they stay undigested)",
        max_tokens=MAX_TOKENS,
        temperature=TEMPERATURE,
        empty_must_be_intact=True,
    )
    answer = await ask_for_json(llm, question)
    return DigestAnswer(answer.reply, {"by": "digest", "model": answer.model, "prompt": PROMPT})


def _prompt_data(labels: BatchLabels, today: datetime) -> dict[str, Any]:
    return {
        "today": f"{today:%Y-%m-%d}",
        "memories": [_memory(label, memory) for label, memory in labels.memories.items("m")],
        "related": [_memory(label, memory) for label, memory in labels.memories.items("r")],
        "insights": [
            {"id": label, "content": insight.content, "stage": stage(insight.confidence)}
            for label, insight in labels.insights.items()
        ],
    }


def _memory(label: str, memory: Memory) -> dict[str, Any]:
    moment = memory.occurred_at or memory.created_at
    shown = {
        "id": label,
        "content": memory.content[:MAX_MEMORY_LENGTH],
        "date": f"{moment:%Y-%m-%d}",
        "importance": memory.importance,
        "valence": memory.valence,
        "arousal": memory.arousal,
        "emotion": memory.emotion,
    }
    return {key: value for key, value in shown.items() if value is not None}
