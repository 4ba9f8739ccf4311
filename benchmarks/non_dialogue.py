"""Does what helps two people talking harm anything else? Facts, one person's notes, and documents.

    python benchmarks/non_dialogue.py [--embedding local] [--json FILE]

The texts and questions in ``data/non_dialogue.json`` were written for this, before anything was measured on them, and
nothing was tuned on them. Everything is stored and asked through the public API; `recall` as it is stands beside
reciprocal rank fusion, the plain sum of normalized scores, and each retriever alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import embeddings, environment, metrics
from benchmarks.support.server import Place, place
from benchmarks.support.tables import table
from neuromem import NeuroMemory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.recall_result import RecallItem, RecallResult
    from neuromem.plugin import EmbeddingProvider

DATA = Path(__file__).parent / "data" / "non_dialogue.json"
DIALOGUE = ("conversation", "speaker", "statement", "opening")
VARIANTS: dict[str, Mapping[str, Any]] = {
    "recall": {},
    "reciprocal rank fusion": {"recall": {"fusion": "rrf"}},
    "plain sum": {"disable": DIALOGUE, "plugins": {"normalized": {"context": {}, "session": 0.0}}},
}
KINDS = {"facts": "fact", "notes": None, "documents": "document"}
FILES = {"files": {"passage_tokens": 60, "passage_overlap": 0}}

Covers = dict[str, frozenset[str]]
Judged = dict[str, list[metrics.Quality]]


async def run(embedding: EmbeddingProvider) -> tuple[dict[str, dict[str, metrics.Quality]], dict[str, str]]:
    """Store the three parts, ask of every variant; returns means by part and variant, and what was run on."""
    data = json.loads(DATA.read_text())
    judged: dict[str, Judged] = {part: {} for part in KINDS}
    async with place(None, settings={"fsync": "off"}) as where:
        async with _open(where, embedding, {}) as nm:
            covers = {part: await _store(nm, part, data[part]) for part in KINDS}
            await nm.drain()
        for name, settings in VARIANTS.items():
            async with _open(where, embedding, settings) as nm:
                for part, kind in KINDS.items():
                    for question, answers in data[part]["questions"]:
                        found = await nm.recall(part, question, 10, kind)
                        lists = {name: found["merged"], **(_arms(found) if name == "recall" else {})}
                        for variant, items in lists.items():
                            ranked = [_covered(item, part, data, covers[part]) for item in items]
                            quality = metrics.judge(ranked, [frozenset(map(str, answers))])
                            judged[part].setdefault(variant, []).append(quality)
        facts = await environment.describe(where, embedding)
    means = {
        part: {name: metrics.mean(each) for name, each in found.items()} for part, found in judged.items()
    }
    return means, facts


def _open(where: Place, embedding: EmbeddingProvider, settings: Mapping[str, Any]) -> NeuroMemory:
    return NeuroMemory(
        where.url,
        embedding,
        llm="none",
        schema=where.schema,
        settings={**FILES, **settings},
        auto_extract=False,
    )


def _arms(found: RecallResult) -> dict[str, list[RecallItem]]:
    return {"BM25 alone": found["bm25_results"], "vectors alone": found["vector_results"]}


async def _store(nm: NeuroMemory, part: str, data: Mapping[str, Any]) -> Covers:
    """Store one part as a user of its own; returns what each stored message or memory is."""
    covers: Covers = {}
    if part == "facts":
        for i, text in enumerate(data["items"]):
            covers[(await nm.add_memory(part, text, "fact")).id] = frozenset({str(i)})
    elif part == "notes":
        for i, (day, texts) in enumerate(data["sessions"]):
            said = datetime.fromisoformat(day).replace(hour=20, tzinfo=UTC)
            _, ids = await nm.conversations.add_messages_batch(
                part,
                [{"role": "user", "content": text, "occurred_at": said} for text in texts],
                session_id=day,
            )
            covers.update({key: frozenset({f"{i}:{j}"}) for j, key in enumerate(ids)})
    else:
        for name, paragraphs in data["files"]:
            await nm.files.create_from_text(part, name, "\n\n".join(paragraphs))
    return covers


def _covered(item: RecallItem, part: str, data: Mapping[str, Any], covers: Covers) -> frozenset[str]:
    """Return which numbered items a result shows; a passage shows the paragraphs that it shares its text with."""
    if part != "documents":
        return covers[item["id"]]
    shown = " ".join(item["content"].split())
    return frozenset(
        f"{i}:{j}"
        for i, (_, paragraphs) in enumerate(data[part]["files"])
        for j, paragraph in enumerate(paragraphs)
        if paragraph[:60] in shown or (len(shown) > 60 and shown in paragraph)
    )


def text(means: Mapping[str, Mapping[str, metrics.Quality]], facts: dict[str, str]) -> str:
    """Return the table."""
    rows: list[Sequence[object]] = [
        [part, name, *(q.recall[k] for k in (1, 5, 10)), q.mrr, q.ndcg10]
        for part, found in means.items()
        for name, q in found.items()
    ]
    head = ["stored", "how", "R@1", "R@5", "R@10", "MRR", "NDCG@10"]
    return f"{environment.headline(facts)}\n\n{table('Facts, notes, documents', head, rows)}"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--embedding", default="local", help="local, local:light, hash, or any installed one"
    )
    options.add_argument("--cache", type=Path, help="folder that keeps embeddings between runs")
    options.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = options.parse_args()
    means, facts = asyncio.run(run(embeddings.choose(arguments.embedding, arguments.cache)))
    print(text(means, facts))
    if arguments.json is not None:
        numbers = {
            p: {n: {"R": dict(q.recall), "MRR": q.mrr} for n, q in v.items()} for p, v in means.items()
        }
        arguments.json.write_text(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
