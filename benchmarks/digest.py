"""Digests what LoCoMo recorded: is every memory analyzed once, does all evidence hold, what does our own part cost.

    python benchmarks/digest.py --data locomo.json [--conversations 1] [--batch 50]

Facts are extracted from replayed replies; insights are made up, since none were recorded: one for each longer word that
several facts of a batch share, reinforced when it comes again. This says nothing about what a model finds. The model's
calls go over HTTP to this machine; CPU is this process's own, embedding and the replaying server included.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import command, datasets, embeddings
from benchmarks.support.replay import Replay, replaying
from benchmarks.support.server import place
from benchmarks.support.tables import table
from neuromem import NeuroMemory, OpenAILLM

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from benchmarks.support.datasets import Conversation
    from neuromem import MessageDict

COMMON = 3  # facts of a batch that share a word


class Thinker:
    """Replays the extraction, and concludes from facts that share a word."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self.shown: Counter[str] = Counter()
        self.calls = 0

    def reply(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a model would say, extracting or digesting."""
        if "conversation" in shown:
            return self._replay.reply(shown)
        self.calls += 1
        self.shown.update(f"{memory['date']} {memory['content']}" for memory in shown["memories"])
        said: dict[str, list[str]] = {}
        for memory in shown["memories"]:
            for word in {w.strip(".,'\"").lower() for w in memory["content"].split()}:
                if len(word) > 5:
                    said.setdefault(word, []).append(memory["id"])
        known = {insight["content"]: insight["id"] for insight in shown["insights"]}
        insights = [
            {
                "content": text,
                "category": "pattern",
                "importance": 5,
                "evidence": names,
                "known": {"id": known[text], "standing": "reinforces"} if text in known else None,
            }
            for word, names in said.items()
            if len(names) >= COMMON and (text := f"Keeps coming back to {word}")
        ]
        return {"insights": insights[:5], "state": None, "nothing": None if insights else "nothing in common"}


async def run(arguments: argparse.Namespace) -> str:
    """Extract, digest, check, and return the table."""
    samples = json.loads(arguments.data.read_text(encoding="utf-8"))
    data = datasets.load(arguments.data)
    embedding = embeddings.choose(arguments.embedding, arguments.cache)
    thinker = Thinker(Replay(samples))
    with replaying(thinker) as address:
        model = OpenAILLM("none", "replay", address)
        async with (
            place(arguments.database_url, settings={"fsync": "off"}) as where,
            NeuroMemory(where.url, embedding, model, schema=where.schema, reflection_interval=0) as nm,
        ):
            numbers = datasets.numbers(arguments.conversations, len(data.conversations))
            rows = [await _measure(nm, data.conversations[n - 1], thinker, arguments.batch) for n in numbers]
    head = [
        "conversation",
        "turns",
        "memories",
        "calls",
        "insights",
        "established",
        "evidence",
        "twice",
        "left",
        "lost",
        "ms a memory",
    ]
    return table("Digest of replayed facts; twice, left and lost should be 0", head, rows)


async def _measure(nm: NeuroMemory, spoken: Conversation, thinker: Thinker, batch: int) -> list[Any]:
    for session in dict.fromkeys(turn.session for turn in spoken.turns):
        turns: list[MessageDict] = [
            {"role": "user", "content": t.text, "name": t.speaker, "occurred_at": t.occurred_at}
            for t in spoken.turns
            if t.session == session
        ]
        await nm.conversations.add_messages_batch(spoken.name, turns, session_id=session)
    await nm.drain()
    thinker.shown.clear()
    thinker.calls, began = 0, time.process_time()
    result = await nm.digest(spoken.name, batch)
    spent = time.process_time() - began
    assert result is not None
    insights = await nm.insights(spoken.name, 10_000)
    ids = {memory.id for memory in await nm.list_memories(spoken.name, limit=10_000)}
    stats = await nm.stats(spoken.name)
    return [
        spoken.name,
        len(spoken.turns),
        result["memories_analyzed"],
        thinker.calls,
        len(insights),
        sum(one["stage"] != "tentative" for one in insights),
        sum(len(one["source_ids"]) for one in insights),
        sum(n - 1 for n in thinker.shown.values()),
        stats["undigested"],
        sum(source not in ids for one in insights for source in one["source_ids"]),
        1_000 * spent / max(1, result["memories_analyzed"]),
    ]


def parser() -> argparse.ArgumentParser:
    options = command.options(__doc__)
    options.add_argument("--data", type=Path, required=True, help="a file in the format of LoCoMo")
    options.add_argument("--conversations", help="which ones, counted from 1: 1-3,5 (default: all)")
    options.add_argument("--batch", type=int, default=50, help="memories in one call")
    options.add_argument("--embedding", default="local")
    options.add_argument("--cache", type=Path, help="folder that keeps embeddings between runs")
    return options


if __name__ == "__main__":
    command.main(parser(), run)
