"""How well a model extracts: its facts against those recorded with LoCoMo, by an embedding match; dates; cost.

    python benchmarks/extraction.py --data locomo.json --base-url http://localhost:11434/v1 --model qwen3:8b
        [--conversations 1] [--sessions 3] [--threshold 0.9]

A recorded fact counts as found when a fact of the model, from one of the same turns or the turns around them, has a
cosine of at least the threshold to it; a fact of the model counts as right when it has such a recorded one. Both depend
on what was recorded, which is itself a model's work: compare models with these numbers, not with perfection. Dates are
checked where a turn says "yesterday": the episode must have the day before.
"""

from __future__ import annotations

import re
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.support import command, datasets, embeddings
from benchmarks.support.server import place
from benchmarks.support.tables import table
from neuromem import NeuroMemory, OpenAILLM
from neuromem.testing.internals import database_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.support.datasets import Conversation
    from neuromem.plugin import EmbeddingProvider

EXTRACTED = """
    SELECT m.memory_type, m.content, m.occurred_at,
           ARRAY(SELECT s.message_id::text FROM {s}.memory_sources s
                 WHERE s.user_id = m.user_id AND s.memory_id = m.memory_id AND s.version = m.version) AS sources
    FROM {s}.memories m WHERE m.superseded_at IS NULL
"""
YESTERDAY = re.compile(r"\b(yesterday|last night)\b", re.IGNORECASE)


async def run(arguments: argparse.Namespace) -> str:
    """Extract with the model, compare, and return the table."""
    turns = datasets.load(arguments.data)
    facts = datasets.load(arguments.data, facts=True)
    numbers = datasets.numbers(arguments.conversations, len(turns.conversations))
    embedding = embeddings.choose(arguments.embedding, arguments.cache)
    model = OpenAILLM(arguments.api_key, arguments.model, arguments.base_url)
    rows: list[list[Any]] = []
    async with (
        place(arguments.database_url, settings={"fsync": "off"}) as where,
        NeuroMemory(
            where.url, embedding, model, schema=where.schema, graph_enabled=True, reflection_interval=0
        ) as nm,
    ):
        for n in numbers:
            spoken = _first(turns.conversations[n - 1], arguments.sessions)
            recorded = _first(facts.conversations[n - 1], arguments.sessions)
            rows.append(await _measure(nm, embedding, spoken, recorded, arguments.threshold))
    head = [
        "conversation",
        "turns",
        "recorded",
        "extracted",
        "recall",
        "precision",
        "yesterdays right",
        "calls",
        "tokens in",
        "tokens out",
        "seconds",
    ]
    return table(f"{arguments.model}, facts match at a cosine of {arguments.threshold}", head, rows)


def _first(conversation: Conversation, sessions: int | None) -> Conversation:
    names = list(dict.fromkeys(turn.session for turn in conversation.turns))[:sessions]
    kept = tuple(turn for turn in conversation.turns if turn.session in names)
    return type(conversation)(conversation.name, kept, ())


async def _measure(
    nm: NeuroMemory,
    embedding: EmbeddingProvider,
    spoken: Conversation,
    recorded: Conversation,
    threshold: float,
) -> list[Any]:
    began = time.monotonic()
    turn_of: dict[str, Any] = {}
    for session in dict.fromkeys(turn.session for turn in spoken.turns):
        turns = [turn for turn in spoken.turns if turn.session == session]
        _, ids = await nm.conversations.add_messages_batch(
            spoken.name,
            [
                {"role": "user", "content": t.text, "name": t.speaker, "occurred_at": t.occurred_at}
                for t in turns
            ],
            session_id=session,
        )
        turn_of.update(zip(ids, turns, strict=True))
    await nm.drain()
    took = time.monotonic() - began
    async with database_of(nm).user(spoken.name) as transaction:
        found = await transaction.all(EXTRACTED)
    facts = [row for row in found if row.memory_type == "fact"]
    near = await _matches(
        embedding, [t.text for t in recorded.turns], [row.content for row in facts], threshold
    )
    for i, fact in enumerate(recorded.turns):
        for j, row in enumerate(facts):
            said = {turn_of[source] for source in row.sources if source in turn_of}
            near[i, j] &= any(_beside(fact.covers, turn.covers) for turn in said)
    cost = (await nm.usage(spoken.name)).get("extraction", {})
    return [
        spoken.name,
        len(spoken.turns),
        len(recorded.turns),
        len(facts),
        _share(np.atleast_1d(near.any(axis=1))),
        _share(np.atleast_1d(near.any(axis=0))),
        _dates(found, turn_of),
        cost.get("calls", 0),
        cost.get("prompt_tokens", 0),
        cost.get("completion_tokens", 0),
        round(took, 1),
    ]


async def _matches(
    embedding: EmbeddingProvider, one: Sequence[str], other: Sequence[str], threshold: float
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which texts of the one list are near which of the other."""
    if not one or not other:
        return np.zeros((len(one), len(other)), dtype=bool)
    sides = []
    for texts in (one, other):
        vectors = np.asarray(await embedding.embed_batch(texts))
        sides.append(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))
    near: np.ndarray[Any, np.dtype[np.bool_]] = sides[0] @ sides[1].T >= threshold
    return near


def _beside(one: frozenset[str], other: frozenset[str]) -> bool:
    """Tell whether turns such as ``D3:7`` are the same or neighbors."""
    places = [[tuple(map(int, name[1:].split(":"))) for name in names] for names in (one, other)]
    return any(a[0] == b[0] and abs(a[1] - b[1]) <= 2 for a in places[0] for b in places[1])


def _share(values: np.ndarray[Any, np.dtype[np.bool_]]) -> float | None:
    return float(values.mean()) if values.size else None


def _dates(found: Sequence[Any], turn_of: dict[str, Any]) -> float | None:
    """Return how many episodes from a "yesterday" have the day before their turn."""
    right = []
    for row in found:
        said = [turn_of[source] for source in row.sources if source in turn_of]
        if (
            row.memory_type == "episodic"
            and row.occurred_at
            and len(said) == 1
            and YESTERDAY.search(said[0].text)
        ):
            right.append(row.occurred_at.date() == (said[0].occurred_at - timedelta(days=1)).date())
    return sum(right) / len(right) if right else None


def parser() -> argparse.ArgumentParser:
    options = command.options(__doc__)
    options.add_argument("--data", type=Path, required=True, help="a file in the format of LoCoMo")
    options.add_argument("--base-url", help="an OpenAI-compatible API; default: the vendor's of the model")
    options.add_argument("--model", required=True)
    options.add_argument("--api-key", help="default: the vendor's environment variable")
    options.add_argument("--conversations", help="which ones, counted from 1: 1-3,5 (default: all)")
    options.add_argument("--sessions", type=int, help="only the first so many of each")
    options.add_argument(
        "--threshold", type=float, default=0.9, help="cosine at which two facts are the same"
    )
    options.add_argument("--embedding", default="local")
    options.add_argument("--cache", type=Path, help="folder that keeps embeddings between runs")
    return options


if __name__ == "__main__":
    command.main(parser(), run)
