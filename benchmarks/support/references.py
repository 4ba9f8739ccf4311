"""Reference implementations over what the index holds: bm25s, and exact cosine in numpy.

An arm is compared with a foreign implementation on the same tokens and vectors, so both are read from the
store's own tables; the arms' raw candidates come through the door for plugins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bm25s
import numpy as np

from neuromem.domain.text.tokenizer import tokenize
from neuromem.plugin import StageSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.support.server import Place
    from neuromem.config import BM25Settings
    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import Candidate
    from neuromem.plugin.ports import Reader
    from neuromem.plugin.stages import Retriever

POSTINGS = """
    SELECT e.entry, e.kind::text AS kind, e.item::text AS item,
           array_agg(p.term) FILTER (WHERE p.term IS NOT NULL) AS terms,
           array_agg(p.tf::int) FILTER (WHERE p.term IS NOT NULL) AS counts
    FROM {s}.entries e LEFT JOIN {s}.postings p ON p.user_id = e.user_id AND p.entry = e.entry
    WHERE e.user_id = $1 AND e.superseded_at IS NULL AND e.kind IN ('m', 'k')
    GROUP BY e.entry, e.kind, e.item ORDER BY e.entry
"""
VECTORS = """
    SELECT v.entry, v.v::text AS v FROM {s}.vectors v JOIN {s}.spaces s ON s.space = v.space AND s.active
    WHERE v.user_id = $1 AND v.current AND v.part = 0 AND v.kind IN ('m', 'k') ORDER BY v.entry
"""
SOURCES = """
    SELECT memory_id::text AS memory, array_agg(message_id::text) AS messages FROM {s}.memory_sources
    WHERE user_id = $1 GROUP BY memory_id
"""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One list: the ids, best first, and their raw scores."""

    ids: list[str]
    scores: list[float]


class Tap:
    """A retriever that finds nothing, and remembers what the store's own arms found for the last question.

    ``embedded`` is the text whose vector they searched with.
    """

    def __init__(self) -> None:
        self.bm25 = Ranked([], [])
        self.vector = Ranked([], [])
        self.embedded = ""

    @hookimpl
    def neuromem_retrievers(self) -> list[StageSpec[Retriever]]:
        """Offer itself."""
        return [StageSpec("tap", lambda ctx: self, "Shows the raw candidates of words and of meaning")]

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        """Ask both arms and return nothing."""
        self.embedded = query.topic or query.text
        self.bm25 = _ranked(await reader.lexical(query))
        self.vector = _ranked(await reader.vector(query))
        return []


class References:
    """What a user's index holds, searched by others' code; messages and memories are corpora of their own."""

    def __init__(self, language: str, settings: BM25Settings) -> None:
        self._language = language
        self._settings = settings
        self._corpora: list[tuple[list[str], Any]] = []
        self._near: list[str] = []
        self._matrix: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)

    async def load(self, where: Place, user_id: str) -> None:
        """Fetch tokens and vectors from the index."""
        rows = await _fetch(where, user_id, POSTINGS)
        stored = await _fetch(where, user_id, VECTORS)
        for kind in sorted({row["kind"] for row in rows}):
            members = [row for row in rows if row["kind"] == kind]
            index: Any = bm25s.BM25(
                method="lucene", k1=self._settings.k1, b=self._settings.b, dtype="float64"
            )
            index.index([_tokens(row) for row in members], show_progress=False)
            self._corpora.append(([row["item"] for row in members], index))
        items = {row["entry"]: row["item"] for row in rows}
        self._near = [items[row["entry"]] for row in stored]
        self._matrix = np.array([_numbers(row["v"]) for row in stored], dtype=np.float32)

    def bm25s(self, question: str, depth: int) -> Ranked:
        """Return the best by bm25s, those that share no word left out."""
        found: list[tuple[float, str]] = []
        for items, index in self._corpora:
            known = [t for t in tokenize(question, self._language) if t in index.vocab_dict]
            if known:
                scores = np.asarray(index.get_scores(known), dtype=np.float64)
                best = [i for i in np.argsort(-scores, kind="stable")[:depth] if scores[i] > 0]
                found += [(float(scores[i]), items[i]) for i in best]
        found.sort(key=lambda pair: -pair[0])
        return Ranked([item for _, item in found[:depth]], [score for score, _ in found[:depth]])

    def numpy(self, vector: Sequence[float], depth: int) -> Ranked:
        """Return the nearest by cosine, computed over the stored half vectors."""
        query = np.asarray(vector, dtype=np.float64)
        norm = float(np.linalg.norm(query))
        if norm == 0 or not self._near:
            return Ranked([], [])
        cosines = self._matrix @ (query / norm).astype(np.float16).astype(np.float32)
        best = np.argsort(-cosines, kind="stable")[:depth]
        return Ranked([self._near[i] for i in best], [float(cosines[i]) for i in best])


async def sources(where: Place, user_id: str) -> dict[str, list[str]]:
    """Return from which messages each extracted memory was taken."""
    return {row["memory"]: row["messages"] for row in await _fetch(where, user_id, SOURCES)}


def difference(arm: Ranked, reference: Ranked, depth: int) -> float:
    """Return the largest difference of scores among the first ``depth``, place by place and item by item.

    Ties may stand in any order. A list that is shorter differs by the first score that it lacks.
    """
    ours = np.zeros(depth)
    theirs = np.zeros(depth)
    ours[: len(arm.scores)] = arm.scores[:depth]
    theirs[: len(reference.scores)] = reference.scores[:depth]
    known = dict(zip(reference.ids, reference.scores, strict=True))
    shared = [
        abs(score - known[key])
        for key, score in zip(arm.ids[:depth], arm.scores, strict=False)
        if key in known
    ]
    return max([float(np.abs(ours - theirs).max()), *shared])


def _ranked(candidates: Sequence[Candidate]) -> Ranked:
    return Ranked([c.id for c in candidates], [c.score for c in candidates])


async def _fetch(where: Place, user_id: str, sql: str) -> list[Any]:
    connection = await where.connect()
    try:
        await connection.execute("SELECT set_config('neuromem.user_id', $1, false)", user_id)
        rows: list[Any] = await connection.fetch(sql.replace("{s}", where.schema), user_id)
        return rows
    finally:
        await connection.close()


def _tokens(row: Any) -> list[str]:
    return [term for term, n in zip(row["terms"] or (), row["counts"] or (), strict=True) for _ in range(n)]


def _numbers(text: str) -> NDArray[np.float32]:
    return np.fromstring(text[1:-1], dtype=np.float32, sep=",")
