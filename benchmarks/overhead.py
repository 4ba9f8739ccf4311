"""What neuromem's own code costs per message: the call of ``ingest()``, the extraction behind it, the embedding.

    python benchmarks/overhead.py --data locomo.json
    python benchmarks/overhead.py --data locomo.json --http       # the model behind a local HTTP server
    python benchmarks/overhead.py --data locomo.json --window 10  # up to ten messages in one call of the model

Messages are turns of LoCoMo, the model replays what was recorded of them, and ``every message full`` makes five facts,
three episodes and three relations of each. CPU is that of the thread that runs neuromem; what the model and the
embedding use themselves is taken off, and so is PostgreSQL, which stands beside it. Nothing runs side by side, so
what the background does for a message is neither hidden in other work nor shared with it.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import command, datasets
from benchmarks.support.cpu import Meter
from benchmarks.support.replay import Replay, replaying
from benchmarks.support.server import place
from benchmarks.support.statements import Statements
from benchmarks.support.synthetic import DIMS
from benchmarks.support.tables import table
from neuromem import NeuroMemory, OpenAILLM
from neuromem.plugin.providers import ChatReply, LLMProvider
from neuromem.testing import HashEmbedding
from neuromem.testing.internals import serve_one_claim, worker_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from benchmarks.support.datasets import Turn
    from benchmarks.support.replay import Replies
    from benchmarks.support.server import Place
    from neuromem.plugin.providers import ChatMessage


EMPTY = 500
COUNTED = 25  # messages whose statements are counted


class Model(LLMProvider):
    """A model in this process; ``spent`` is the CPU that it used, which is not neuromem's."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self.spent = 0.0

    @property
    def model(self) -> str:
        """Name of the fake."""
        return "replay"

    async def chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float = 0.1,
        max_tokens: int = 2048,
        json_schema: Mapping[str, Any] | None = None,
    ) -> str:
        """Reply to a window."""
        del temperature, max_tokens, json_schema
        began = time.thread_time()
        text = json.dumps(self._replies.reply(json.loads(messages[-1]["content"])), ensure_ascii=False)
        self.spent += time.thread_time() - began
        return ChatReply(
            text, model="replay", prompt_tokens=1_000, completion_tokens=200, finish_reason="stop"
        )


class Embedding(HashEmbedding):
    """The hashing embedding; ``spent`` is the CPU that it used."""

    spent = 0.0

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed, and note what that took."""
        began = time.thread_time()
        vectors = await super().embed_batch(texts)
        self.spent += time.thread_time() - began
        return vectors


class Full:
    """Makes five facts, three episodes and three relations of every new turn."""

    def reply(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the model would say about a window."""
        return _full(shown)


def _full(shown: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, list[dict[str, Any]]] = {"facts": [], "episodes": [], "relations": []}
    for turn in shown["conversation"]:
        if not turn.get("new"):
            continue
        words = (turn["text"].split() + ["and", "so", "on"] * 5)[:15]
        said = {"sources": [turn["id"]], "confidence": 0.9, "importance": 5, "valence": 0.1, "arousal": 0.2}
        for i in range(5):
            text = f"{turn['speaker']} told about {' '.join(words[i : i + 8])} at {turn['time']}."
            made["facts"].append(
                {
                    "content": text,
                    "subject": turn["speaker"],
                    "category": "life",
                    "entities": [words[i]],
                    **said,
                }
            )
        for i in range(3):
            made["episodes"].append(
                {
                    "content": f"{turn['speaker']} did {' '.join(words[i : i + 6])}.",
                    "date": turn["time"][:10],
                    "people": [turn["speaker"]],
                    "place": words[i],
                    **said,
                }
            )
        for i, relation in enumerate(("KNOWS", "USES", "VISITED")):
            made["relations"].append(
                {
                    "subject": turn["speaker"],
                    "subject_type": "PERSON",
                    "relation": relation,
                    "object": words[i],
                    "object_type": "CONCEPT",
                    "sources": [turn["id"]],
                }
            )
    return {**made, "profile": {}, "nothing": None}


@dataclass
class Part:
    """What one part of the work took in all: CPU seconds here and in PostgreSQL, statements, round trips."""

    client: float = 0.0
    server: float = 0.0
    statements: int = 0
    trips: int = 0
    times: int = 0


class Run:
    """Ingests, extracts and embeds one after the other, each measured for itself."""

    def __init__(self, nm: NeuroMemory, model: Model | None, embedding: Embedding, meter: Meter) -> None:
        self._nm = nm
        self._model = model
        self._embedding = embedding
        self._meter = meter
        self._counted: Statements | None = None
        self.parts = {"ingest()": Part(), "extraction": Part(), "embedding": Part()}

    def count(self) -> None:
        """Count statements from now on, which costs some CPU itself: what is measured is measured before."""
        self._counted = Statements(self._nm)
        self.parts = {name: Part() for name in self.parts}

    async def take(self, user: str, turns: Sequence[Turn], window: int) -> None:
        """Take turns in, and do the work after every ``window`` of them."""
        capability = next(need for need in worker_of(self._nm).capabilities if need.startswith("extract:"))
        space = next(need for need in worker_of(self._nm).capabilities if need.startswith("space:"))
        for i, turn in enumerate(turns, 1):

            async def ingest(turn: Turn = turn) -> bool:
                await self._nm.ingest(
                    user, turn.role, turn.text, turn.session, name=turn.speaker, occurred_at=turn.occurred_at
                )
                return True

            await self._measured("ingest()", ingest)
            if i % window == 0 or i == len(turns):
                while await self._measured("extraction", lambda: self._serve(capability, "extract", window)):
                    pass
                while await self._measured("embedding", lambda: self._serve(space, "embed", 64)):
                    pass

    async def _serve(self, capability: str, kind: str, most: int) -> bool:
        """Do what a worker does with one claim; False when there is none."""
        return await serve_one_claim(self._nm, capability, kind, most=most)

    async def _measured(self, name: str, call: Callable[[], Awaitable[bool]]) -> bool:
        part, fakes = self.parts[name], self._fakes()
        if self._counted is not None:
            self._counted.reset()
        server = self._meter.read().server
        began = time.thread_time()
        more = await call()
        part.client += time.thread_time() - began - (self._fakes() - fakes)
        part.server += self._meter.read().server - server
        if self._counted is not None:
            part.statements += self._counted.statements
            part.trips += self._counted.trips
        part.times += more
        return more

    def _fakes(self) -> float:
        return self._embedding.spent + (self._model.spent if self._model is not None else 0.0)


async def run(arguments: argparse.Namespace) -> str:
    """Measure, and return the table."""
    samples = json.loads(arguments.data.read_text(encoding="utf-8"))
    turns = datasets.load(arguments.data).conversations[0].turns
    warm, turns = turns[: arguments.warm_up], turns[arguments.warm_up :][: arguments.messages]
    rows: list[list[Any]] = []
    async with place(arguments.database_url) as where:
        empty = [await _empty(where)]
        for name, replies in (("as recorded", Replay(samples)), ("every message full", Full())):
            parts = await _one(arguments, where, name, replies, warm, turns)
            for part, took in parts.items():
                rows.append(
                    [
                        name,
                        part,
                        took.times,
                        1000 * took.client / len(turns),
                        1000 * took.server / len(turns),
                        took.statements / max(1, took.times),
                        took.trips / max(1, took.times),
                    ]
                )
            both = [sum(getattr(part, side) for part in parts.values()) for side in ("client", "server")]
            rows.append([name, "in all", None, *(1000 * side / len(turns) for side in both), None, None])
        empty.append(await _empty(where))
    head = ["model", "part", "times", "client cpu ms", "server cpu ms", "statements", "round trips"]
    title = (
        f"CPU per message, {len(turns)} messages of LoCoMo, {arguments.window} in a window, model "
        f"{'over HTTP' if arguments.http else 'in process'}; statements and round trips per time"
    )
    pace = (
        f"An empty transaction took {1000 * empty[0]:.3f} ms of CPU here before, {1000 * empty[1]:.3f} after: compare "
        "runs by that, for beside busy neighbors the same work counts for more."
    )
    return f"{table(title, head, rows)}\n{pace}"


async def _empty(where: Place) -> float:
    """Return the CPU of a transaction that does nothing, in seconds: two round trips."""
    connection = await where.connect()
    try:
        began = time.thread_time()
        for _ in range(EMPTY):
            await connection.execute("BEGIN")
            await connection.execute("COMMIT")
        return (time.thread_time() - began) / EMPTY
    finally:
        await connection.close()


async def _one(
    arguments: argparse.Namespace,
    where: Place,
    name: str,
    replies: Replies,
    warm: Sequence[Turn],
    turns: Sequence[Turn],
) -> dict[str, Part]:
    embedding = Embedding(DIMS)
    async with AsyncExitStack() as stack:
        model: LLMProvider = Model(replies)
        if arguments.http:
            served = stack.enter_context(replaying(replies))
            model = OpenAILLM("none", "replay", served)
        nm = await stack.enter_async_context(
            NeuroMemory(
                where.url,
                embedding,
                model,
                schema=f"{where.schema}_{name.split()[0]}",
                worker=False,
                graph_enabled=True,
                reflection_interval=0,
            )
        )
        measured = Run(nm, model if isinstance(model, Model) else None, embedding, await Meter.of(where))
        await measured.take("warm", warm, arguments.window)
        measured.parts = {part: Part() for part in measured.parts}
        await measured.take("alice", turns, arguments.window)
        parts = measured.parts
        measured.count()
        await measured.take("counted", turns[:COUNTED], arguments.window)
    for name, part in measured.parts.items():
        share = parts[name].times / max(1, part.times)
        parts[name].statements, parts[name].trips = round(share * part.statements), round(share * part.trips)
    return parts


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = command.options(__doc__)
    options.add_argument("--data", type=Path, required=True, help="a file in the format of LoCoMo")
    options.add_argument("--messages", type=int, default=200)
    options.add_argument("--warm-up", type=int, default=30, help="messages before anything is measured")
    options.add_argument("--window", type=int, default=1, help="messages that one call of the model gets")
    options.add_argument("--http", action="store_true", help="put the model behind a local HTTP server")
    return options


if __name__ == "__main__":
    command.main(parser(), run)
