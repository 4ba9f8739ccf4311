"""Retrieval quality on real conversations: evidence recall, any@k, MRR and NDCG@10, without an LLM judge.

    python benchmarks/retrieval.py --data locomo.json [--conversations 1-3] [--questions 100 --seed 1]

Every turn is stored through the public API (one conversation = one user), every question is asked through
``recall(limit=50)``. In the same run: each arm alone, as `recall` shows it, and the reference implementations, bm25s
and cosine in numpy, on the index's own tokens and vectors: the scores must be equal.

``--rules`` lets the installed rules extract memories beside the messages, as a user without an LLM has it; what was
extracted from a turn counts as that turn. ``--extracted`` runs LoCoMo through the extraction as well, its recorded
facts being what the model replies, and compares messages alone with what is recalled by the provenance of facts and
messages. ``--as facts`` stores the facts recorded with LoCoMo as memories instead of turns. ``--ablation`` runs the
pipeline again with each part off. ``--check-min-score`` asks what does not belong to the user.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import command, datasets, embeddings, environment, metrics, unrelated
from benchmarks.support.references import Ranked, References, Tap, difference, sources
from benchmarks.support.replay import Replay, replaying
from benchmarks.support.server import Place, place
from benchmarks.support.tables import table
from benchmarks.support.wordless import Wordless
from neuromem import NeuroMemory, OpenAILLM, Settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from benchmarks.support.datasets import Conversation, Dataset, Question
    from benchmarks.support.metrics import Quality
    from neuromem.plugin import EmbeddingProvider

LIMIT = 50
PIPELINE = "pipeline"
AS_STORED = "pipeline, extracted memories taken out"
TOLERANCE = 1e-4  # by which an arm's scores may differ from the reference's

CONTEXT_FREE: dict[str, Any] = {"context": {}, "session": 0.0}

# What `--ablation` compares: a label, and the settings that differ. All variants share one database, so only
# what is read when a question is asked can be switched here.
ABLATION: list[tuple[str, Mapping[str, Any]]] = [
    ("ranks instead of scores", {"recall": {"fusion": "rrf"}}),
    ("without turns around", {"disable": ["conversation"]}),
    ("without neighbors' support", {"plugins": {"normalized": {"context": {}}}}),
    ("with what neighbors merely repeat", {"recall": {"fusion": "wordless"}}),
    ("without the session's lift", {"plugins": {"normalized": {"session": 0.0}}}),
    ("without all three of these", {"disable": ["conversation"], "plugins": {"normalized": CONTEXT_FREE}}),
    ("without the speaker", {"disable": ["speaker"]}),
    ("without telling who asks from who tells", {"disable": ["statement"]}),
    ("without the opening of sessions", {"disable": ["opening"]}),
    ("without the time asked for", {"disable": ["time"]}),
    ("without recency", {"disable": ["recency"]}),
    ("without importance", {"disable": ["importance"]}),
    ("without emotion", {"disable": ["emotion"]}),
    ("BM25 alone", {"disable": ["vector"]}),
    ("vectors alone", {"disable": ["bm25"]}),
]

Asked = list[tuple["Conversation", "Question"]]
Covers = dict[str, frozenset[str]]


@dataclass
class Report:
    """What a run found; ``tables`` is what is printed."""

    facts: dict[str, str]
    systems: dict[str, dict[str, tuple[int, Quality]]] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    ablation: dict[str, dict[str, tuple[int, Quality]]] = field(default_factory=dict)
    min_score: dict[str, dict[str, float | None]] = field(default_factory=dict)

    def text(self) -> str:
        """Return the tables."""
        parts = [environment.headline(self.facts)]
        parts += [_quality_table(name, categories) for name, categories in self.systems.items()]
        if len(self.systems) > 1:
            parts.append(_summary(self.systems))
        if self.differences:
            parts.append(
                table(
                    f"Arms against the references: largest difference of a score (at most {TOLERANCE:g})",
                    ["arm", "difference", "verdict"],
                    [
                        [name, f"{value:.1e}", "equal" if value <= TOLERANCE else "DIFFERENT"]
                        for name, value in self.differences.items()
                    ],
                )
            )
        if self.ablation:
            parts.append(_ablation_table(self.ablation))
        if self.min_score:
            head = list(next(iter(self.min_score.values())))
            rows = [[name, *values.values()] for name, values in self.min_score.items()]
            parts.append(
                table("min_score = 0.5, and the best relevance of a question", ["asked", *head], rows)
            )
        return "\n\n".join(parts)


async def run(arguments: argparse.Namespace) -> Report:
    """Load, ask, judge."""
    data = datasets.load(arguments.data, facts=arguments.as_ == "facts", captions=arguments.captions)
    data = data.choose(datasets.numbers(arguments.conversations, len(data.conversations)))
    asked = _asked(data, arguments.questions, arguments.seed)
    embedding = embeddings.choose(arguments.embedding, arguments.cache)
    settings = _settings(arguments.set)
    # nothing here needs to survive a crash
    async with place(arguments.database_url, settings={"fsync": "off"}) as where:
        async with _open(where, embedding, settings, auto_extract=arguments.rules) as nm:
            began = time.monotonic()
            covers = {c.name: await _store(nm, c, data.language, arguments.as_) for c in data.conversations}
            await nm.drain()
            loaded = time.monotonic() - began
            for user, stored in covers.items():
                for memory, messages in (await sources(where, user)).items():
                    stored[memory] = frozenset().union(*(stored[message] for message in messages))
            report = Report(await _facts(arguments, data, asked, where, embedding, loaded))
            await _measure(nm, where, embedding, asked, covers, data.language, report)
            if arguments.extracted:
                alone = report.systems[PIPELINE]
                report.systems = {"messages alone": alone}
                report.differences = {}
            if arguments.check_min_score:
                await _check_min_score(nm, data, asked, covers, report)
        if arguments.extracted:
            chosen = {conversation.name for conversation in data.conversations}
            samples = [s for s in json.loads(arguments.data.read_text()) if s["sample_id"] in chosen]
            found, told = await _extracted(where, embedding, settings, samples, data, asked)
            report.systems |= found
            report.facts["extraction"] = told
        if arguments.ablation:
            report.ablation["everything"] = report.systems[PIPELINE]
            for label, override in ABLATION:
                async with _open(where, embedding, _merged(settings, override), plugins=[Wordless()]) as nm:
                    report.ablation[label] = await _pipeline(nm, asked, covers, data.language)
    return report


def _open(
    where: Place, embedding: EmbeddingProvider, settings: Settings | Mapping[str, Any], **more: Any
) -> NeuroMemory:
    more = {"auto_extract": False, **more}
    return NeuroMemory(where.url, embedding, llm="none", schema=where.schema, settings=settings, **more)


async def _store(nm: NeuroMemory, conversation: Conversation, language: str, kind: str) -> Covers:
    """Store a conversation and return which turns each stored thing stands for."""
    covers: dict[str, frozenset[str]] = {}
    facts = [turn for turn in conversation.turns if kind == "facts" or turn.role == datasets.MEMORY]
    for turn in facts:
        memory = await nm.add_memory(conversation.name, turn.text, "fact", occurred_at=turn.occurred_at)
        covers[memory.id] = covers.get(memory.id, frozenset()) | turn.covers
    said = [] if facts else conversation.turns
    for session in dict.fromkeys(turn.session for turn in said):
        turns = [turn for turn in said if turn.session == session]
        _, ids = await nm.conversations.add_messages_batch(
            conversation.name,
            [
                {
                    "role": turn.role,
                    "content": turn.text[: nm.settings.max_content],
                    "name": turn.speaker,
                    "occurred_at": turn.occurred_at,
                    "language": language,
                }
                for turn in turns
            ],
            session_id=session,
        )
        covers.update({key: turn.covers for key, turn in zip(ids, turns, strict=True)})
    return covers


async def _measure(
    nm: NeuroMemory,
    where: Place,
    embedding: EmbeddingProvider,
    asked: Asked,
    covers: Mapping[str, Covers],
    language: str,
    report: Report,
) -> None:
    """Ask every question, of the pipeline, of the arms and of the references."""
    judged: dict[str, list[tuple[str, Quality]]] = {}
    differences = {"BM25 against bm25s": 0.0, "vectors against numpy": 0.0}
    tap = Tap()
    references: dict[str, References] = {}
    extracted: dict[str, set[str]] = {}
    tapped = nm.settings.model_copy(update={"enable": (*nm.settings.enable, "tap")})
    async with _open(where, embedding, tapped, plugins=[tap], worker=False) as watched:
        for conversation, question in asked:
            user = conversation.name
            if user not in references:
                references[user] = References(language, nm.settings.bm25)
                await references[user].load(where, user)
                extracted[user] = set(await sources(where, user))
            answer = await nm.recall(user, question.text, LIMIT, language=language)
            await watched.recall(user, question.text, LIMIT, language=language)
            vector = await embedding.embed_query(tap.embedded)
            words = references[user].bm25s(question.text, LIMIT)
            near = references[user].numpy(vector, LIMIT)
            lists = {
                PIPELINE: _ids(answer["merged"]),
                AS_STORED: [key for key in _ids(answer["merged"]) if key not in extracted[user]],
                "bm25_results": _ids(answer["bm25_results"]),
                "vector_results": _ids(answer["vector_results"]),
                "bm25s": words.ids,
                "numpy cosine": near.ids,
            }
            for name, ids in lists.items():
                quality = metrics.judge(_covered(ids, covers[user]), question.sufficient)
                judged.setdefault(name, []).append((question.category, quality))
            _raise(differences, "BM25 against bm25s", tap.bm25, words)
            _raise(differences, "vectors against numpy", tap.vector, near)
    if not any(extracted.values()):
        del judged[AS_STORED]
    report.systems = {name: metrics.by_category(values) for name, values in judged.items()}
    report.differences = differences


async def _extracted(
    where: Place,
    embedding: EmbeddingProvider,
    settings: Mapping[str, Any],
    samples: Sequence[Mapping[str, Any]],
    data: Dataset,
    asked: Asked,
) -> tuple[dict[str, dict[str, tuple[int, Quality]]], str]:
    """Extract everything in a schema of its own and ask again; an item covers the turns of its sources."""
    replay = Replay(samples)
    systems: dict[str, dict[str, tuple[int, Quality]]] = {}
    with replaying(replay) as address:
        model = OpenAILLM("none", "replay", address)
        async with NeuroMemory(
            where.url,
            embedding,
            model,
            schema=f"{where.schema}_extracted",
            graph_enabled=True,
            reflection_interval=0,
            settings=settings,
        ) as nm:
            covers = {c.name: await _store(nm, c, data.language, "turns") for c in data.conversations}
            began = time.process_time()
            await nm.drain()
            spent = time.process_time() - began
            ways: list[tuple[str, bool | None]] = [("facts and messages", True), ("as recall does", None)]
            for name, both in ways:
                judged = []
                for conversation, question in asked:
                    answer = await nm.recall(
                        conversation.name,
                        question.text,
                        LIMIT,
                        language=data.language,
                        include_conversations=both,
                    )
                    turns = covers[conversation.name]
                    ranked = [
                        frozenset().union(*(turns[s] for s in item["sources"])) for item in answer["merged"]
                    ]
                    judged.append((question.category, metrics.judge(ranked, question.sufficient)))
                systems[name] = metrics.by_category(judged)
    return systems, f"{replay.calls:,} calls replayed, {spent:.1f} s of CPU for the work, embedding included"


def _raise(differences: dict[str, float], name: str, arm: Ranked, reference: Ranked) -> None:
    differences[name] = max(differences[name], difference(arm, reference, LIMIT))


async def _pipeline(
    nm: NeuroMemory, asked: Asked, covers: Mapping[str, Covers], language: str
) -> dict[str, tuple[int, Quality]]:
    judged = []
    for conversation, question in asked:
        answer = await nm.recall(conversation.name, question.text, LIMIT, language=language)
        ranked = _covered(_ids(answer["merged"]), covers[conversation.name])
        judged.append((question.category, metrics.judge(ranked, question.sufficient)))
    return metrics.by_category(judged)


async def _check_min_score(
    nm: NeuroMemory, data: Dataset, asked: Asked, covers: Mapping[str, Covers], report: Report
) -> None:
    """Ask what the user knows, what others would be asked, and what nobody was told."""
    above = total = 0
    own: list[float] = []
    foreign: list[float] = []
    strange: list[float] = []
    users = [conversation.name for conversation in data.conversations]
    for conversation, question in asked:
        answer = await nm.recall(conversation.name, question.text, LIMIT, language=data.language)
        own.append(_best(answer["merged"]))
        found = [
            covers[conversation.name][item["id"]] for item in answer["merged"] if item["relevance"] >= 0.5
        ]
        above += len(question.evidence & frozenset().union(*found))
        total += len(question.evidence)
        if len(users) > 1:
            other = users[(users.index(conversation.name) + 1) % len(users)]
            answer = await nm.recall(other, question.text, LIMIT, language=data.language)
            foreign.append(_best(answer["merged"]))
    for user in users:
        for text in unrelated.QUESTIONS[data.language]:
            answer = await nm.recall(user, text, LIMIT, language=data.language)
            strange.append(_best(answer["merged"]))
    report.min_score = {
        name: {
            "nothing returned": sum(best < 0.5 for best in values) / len(values),
            "evidence above": above / total if name == "own" else None,
            "p5": _quantile(values, 0.05),
            "p50": _quantile(values, 0.5),
            "p95": _quantile(values, 0.95),
        }
        for name, values in {"own": own, "another user's": foreign, "general knowledge": strange}.items()
        if values
    }


def _best(items: Sequence[Any]) -> float:
    return max((float(item["relevance"]) for item in items), default=0.0)


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _ids(items: Sequence[Any]) -> list[str]:
    return [item["id"] for item in items]


def _covered(ids: Sequence[str], covers: Covers) -> list[frozenset[str]]:
    return [covers[key] for key in ids]


def _asked(data: Dataset, most: int | None, seed: int) -> Asked:
    questions = [(conversation, q) for conversation in data.conversations for q in conversation.questions]
    if most is None or most >= len(questions):
        return questions
    return random.Random(seed).sample(questions, most)


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``bm25.k1=0.6`` as nested settings."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        path, _, text = pair.partition("=")
        value: Any = json.loads(text) if text[:1] in "[{" else text
        for name in reversed(path.split(".")):
            value = {name: value}
        settings = _merged(settings, value)
    return settings


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


async def _facts(
    arguments: argparse.Namespace,
    data: Dataset,
    asked: Asked,
    where: Place,
    embedding: EmbeddingProvider,
    loaded: float,
) -> dict[str, str]:
    stored = sum(len(conversation.turns) for conversation in data.conversations)
    drawn = "" if arguments.questions is None else f" (drawn with seed {arguments.seed})"
    return {
        "data": f"{data.label}, sha256 {data.digest[:12]}, {len(data.conversations)} conversations, "
        f"{stored:,} {arguments.as_}, {len(asked):,} questions{drawn}, stored and embedded in {loaded:.1f} s",
        "settings": " ".join(arguments.set) or "defaults",
        **await environment.describe(where, embedding),
    }


def _quality_table(name: str, categories: Mapping[str, tuple[int, Quality]]) -> str:
    head = [
        "category",
        "questions",
        *(f"R@{k}" for k in metrics.CUTS),
        *(f"any@{k}" for k in metrics.CUTS),
        "MRR",
        "NDCG@10",
    ]
    rows = [
        [category, n, *q.recall.values(), *q.any.values(), q.mrr, q.ndcg10]
        for category, (n, q) in categories.items()
    ]
    return table(name, head, rows)


def _summary(systems: Mapping[str, Mapping[str, tuple[int, Quality]]]) -> str:
    categories = list(next(iter(systems.values())))
    head = ["R@10", *categories, "R@1 all", "R@50 all", "NDCG@10 all"]
    total = "all" if "all" in categories else categories[0]
    rows = [
        [
            name,
            *(found[category][1].recall[10] for category in categories),
            found[total][1].recall[1],
            found[total][1].recall[50],
            found[total][1].ndcg10,
        ]
        for name, found in systems.items()
    ]
    return table("Side by side", head, rows)


def _ablation_table(variants: Mapping[str, Mapping[str, tuple[int, Quality]]]) -> str:
    whole = variants["everything"]
    total = "all" if "all" in whole else next(iter(whole))
    rows = [
        [
            name,
            *(found[category][1].recall[10] for category in whole),
            found[total][1].ndcg10,
            f"{100 * (found[total][1].recall[10] - whole[total][1].recall[10]):+.1f}",
        ]
        for name, found in variants.items()
    ]
    return table(
        "What each part gives: evidence recall@10 otherwise", ["variant", *whole, "NDCG@10", "points"], rows
    )


def parser() -> argparse.ArgumentParser:
    options = command.options(__doc__)
    options.add_argument(
        "--data",
        type=Path,
        required=True,
        help="a file in the format of LoCoMo, MemoryBank, or the common one",
    )
    options.add_argument("--conversations", help="which ones, counted from 1: 1-3,5 (default: all)")
    options.add_argument("--questions", type=int, help="draw so many questions (default: all)")
    options.add_argument("--seed", type=int, default=1, help="for drawing them")
    options.add_argument(
        "--embedding", default="local", help="local, local:light, hash, or any installed one"
    )
    options.add_argument(
        "--as", dest="as_", choices=["turns", "facts"], default="turns", help="what is stored"
    )
    options.add_argument(
        "--no-captions", dest="captions", action="store_false", help="leave shared images out"
    )
    options.add_argument("--rules", action="store_true", help="let the installed rules extract memories, too")
    options.add_argument("--set", action="append", default=[], metavar="bm25.k1=0.6", help="a setting")
    options.add_argument("--extracted", action="store_true", help="also run what LoCoMo recorded of a model")
    options.add_argument("--ablation", action="store_true", help="run again with each part off")
    options.add_argument("--check-min-score", action="store_true", help="ask what does not belong here")
    options.add_argument("--cache", type=Path, help="folder that keeps embeddings between runs")
    return options


if __name__ == "__main__":
    command.main(parser(), run)
