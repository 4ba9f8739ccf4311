"""Stages of plugins: what they bring passes the filters like everything else, and what is wrong with it is said."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from neuromem import RecallError
from neuromem.domain.query import Filters
from neuromem.domain.recall_result import Candidate
from neuromem.plugin import StageSpec, hookimpl
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuromem.domain.query import Kind, Query
    from neuromem.domain.recall_result import RetrievedItem
    from neuromem.memory import NeuroMemory
    from neuromem.plugin.ports import Reader
    from neuromem.plugin.stages import Reranker, Retriever, Scorer

NOBODYS = "9b2d2f6e-0000-4000-8000-000000000000"


class Elsewhere:
    """Offers a retriever that returns whatever it was told to."""

    def __init__(self) -> None:
        self.brings: Any = []
        self.closed = 0

    @hookimpl
    def neuromem_retrievers(self) -> list[StageSpec[Retriever]]:
        return [StageSpec("elsewhere", lambda ctx: self, "for a test", default=True)]

    async def close(self) -> None:
        self.closed += 1

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        return self.brings(query) if callable(self.brings) else self.brings  # type: ignore[no-any-return]


class Nosy(Elsewhere):
    """Asks for more than it may."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        bobs = await reader.lexical(replace(query, user_id="bob"))
        return [*bobs, *await reader.lexical(replace(query, filters=Filters()))]


async def found(nm: NeuroMemory, question: str = "anything", **options: Any) -> list[str]:
    return [item["content"] for item in (await nm.recall("alice", question, **options))["merged"]]


async def test_what_a_retriever_brings_passes_every_filter(database_url: str) -> None:
    elsewhere = Elsewhere()
    async with opened(database_url, plugins=[elsewhere], worker=False, auto_extract=False) as nm:
        fact = await nm.add_memory("alice", "likes tea", "fact", metadata={"topic": "drinks"})
        said = await nm.ingest("alice", "user", "Good morning")
        gone = await nm.add_memory("alice", "likes gin", "fact")
        await nm.delete_memory("alice", gone.id)
        bobs = await nm.add_memory("bob", "has a secret", "fact")
        ids = [(fact.id, "memory"), (said.id, "message"), (gone.id, "memory"), (bobs.id, "memory")]
        elsewhere.brings = [
            Candidate(i, cast("Kind", kind), 1.0, 1.0) for i, kind in (*ids, (NOBODYS, "memory"))
        ]
        assert set(await found(nm)) == {"likes tea", "Good morning"}
        later, earlier = said.created_at + timedelta(days=1), fact.created_at - timedelta(days=1)
        for nothing in (
            {"created_after": later},
            {"created_before": earlier},
            {"event_after": later},
            {"as_of": earlier},
            {"memory_type": "episodic"},
            {"memory_type": "document"},
            {"metadata": {"topic": "food"}},
        ):
            assert await found(nm, **nothing) == [], nothing
        assert await found(nm, metadata={"topic": "drinks"}) == ["likes tea"]
        assert await found(nm, memory_type="fact") == ["likes tea"]
        assert await found(nm, include_conversations=False) == ["likes tea"]
        assert await found(nm, memory_type="message") == ["Good morning"]
        assert await found(nm, as_of=fact.created_at) == ["likes tea"]


async def test_a_retriever_cannot_ask_for_another_user_or_without_the_filters(database_url: str) -> None:
    async with opened(database_url, plugins=[Nosy()], worker=False, auto_extract=False) as nm:
        await nm.add_memory("alice", "likes tea", "fact")
        await nm.add_memory("alice", "tea time", "general")
        await nm.add_memory("bob", "bob hides his tea", "fact")
        assert await found(nm, "tea", memory_type="fact") == ["likes tea"]


async def test_what_is_brought_twice_counts_once(database_url: str) -> None:
    elsewhere = Elsewhere()
    async with opened(database_url, plugins=[elsewhere], worker=False, auto_extract=False) as nm:
        tea = await nm.add_memory("alice", "likes tea", "fact")
        gin = await nm.add_memory("alice", "likes gin", "fact")
        elsewhere.brings = (
            Candidate(i, "memory", score, 0.5)
            for i, score in ((tea.id.upper(), 3.0), (tea.id, 2.0), (gin.id, 1.0), (tea.id, 0.0))
        )
        answer = await nm.recall("alice", "anything", explain=True)
    ranks = {item["content"]: item["explain"]["arms"]["elsewhere"]["rank"] for item in answer["merged"]}
    assert ranks == {"likes tea": 1, "likes gin": 2}
    assert [item["source"] for item in answer["merged"]] == ["elsewhere", "elsewhere"]
    assert elsewhere.closed == 1


@pytest.mark.parametrize(
    ("brings", "says"),
    [
        (lambda i: None, "NoneType"),
        (lambda i: [(i, 1.0)], "no Candidate"),
        (lambda i: [Candidate(i, cast("Kind", "page"), 1.0)], "'page'"),
        (lambda i: [Candidate("7", "memory", 1.0)], "id '7'"),
        (lambda i: [Candidate(i, "memory", float("nan"))], "score nan"),
        (lambda i: [Candidate(i, "memory", float("inf"))], "score inf"),
        (lambda i: [Candidate(i, "memory", cast("float", "high"))], "score 'high'"),
        (lambda i: [Candidate(i, "memory", 1.0, 7.0)], "relevance 7.0"),
        (lambda i: [Candidate(i, "memory", 1.0, float("nan"))], "relevance nan"),
        (lambda i: [Candidate(i, "memory", 1.0, fusion_score=float("nan"))], "fusion_score nan"),
    ],
)
async def test_what_is_no_candidate_is_said_or_skipped(
    database_url: str, brings: Callable[[str], Any], says: str
) -> None:
    elsewhere = Elsewhere()
    async with opened(database_url, plugins=[elsewhere], worker=False, auto_extract=False) as nm:
        tea = await nm.add_memory("alice", "likes tea", "fact")
        elsewhere.brings = lambda query: brings(tea.id)
        with pytest.raises(RecallError, match=says) as caught:
            await nm.recall("alice", "tea")
        assert caught.value.arm == "elsewhere"
        answer = await nm.recall("alice", "tea", on_arm_error="skip")
        assert answer["skipped"] == ["elsewhere"]
        assert [item["content"] for item in answer["merged"]] == ["likes tea"]


class Late(Elsewhere):
    """Never comes back."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        await asyncio.Event().wait()
        return []


async def test_a_retriever_that_is_late_is_named_or_skipped(database_url: str) -> None:
    settings = {"recall": {"timeout": 0.5}}
    async with opened(
        database_url, plugins=[Late()], worker=False, auto_extract=False, settings=settings
    ) as nm:
        await nm.add_memory("alice", "likes tea", "fact")
        with pytest.raises(RecallError, match=r"'elsewhere' took longer than 0\.5 s") as caught:
            await nm.recall("alice", "tea")
        assert caught.value.arm == "elsewhere"
        answer = await nm.recall("alice", "tea", on_arm_error="skip")
        assert answer["skipped"] == ["elsewhere"]
        assert [item["content"] for item in answer["merged"]] == ["likes tea"]


class Scores:
    """Offers a scorer that gives one signal to everything."""

    def __init__(self, signal: Any) -> None:
        self._signal = signal

    @hookimpl
    def neuromem_scorers(self) -> list[StageSpec[Scorer]]:
        return [StageSpec("odd", lambda ctx: self, "for a test", default=True)]

    def score(self, query: Query, candidate: RetrievedItem) -> float:
        if isinstance(self._signal, Exception):
            raise self._signal
        return self._signal  # type: ignore[no-any-return]


@pytest.mark.parametrize("signal", [float("nan"), 2.0, -0.1, None, "high", ZeroDivisionError("oh")])
async def test_a_scorer_that_breaks_is_named(database_url: str, signal: Any) -> None:
    async with opened(database_url, plugins=[Scores(signal)], worker=False, auto_extract=False) as nm:
        await nm.add_memory("alice", "likes tea", "fact")
        with pytest.raises(RecallError, match="scorer 'odd'") as caught:
            await nm.recall("alice", "tea")
        assert caught.value.arm == "odd"


class Judges:
    """Offers a reranker that answers what it was told to."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    @hookimpl
    def neuromem_rerankers(self) -> list[StageSpec[Reranker]]:
        return [StageSpec("judge", lambda ctx: self, "for a test")]

    async def rerank(self, query: Query, hits: Sequence[RetrievedItem]) -> Sequence[float]:
        if isinstance(self._answer, Exception):
            raise self._answer
        if self._answer == "late":
            await asyncio.Event().wait()
        return self._answer  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([], "0 numbers for 1 hits"),
        ([float("nan")], r"\[0, 1\]"),
        ([2.0], r"\[0, 1\]"),
        ([None], "failed"),
        (None, "failed"),
        (ConnectionError("no route"), "no route"),
        ("late", "longer than 0.5 s"),
    ],
)
async def test_a_reranker_that_fails_or_is_late_is_named_or_skipped(
    database_url: str, answer: Any, says: str
) -> None:
    settings = {"recall": {"rerankers": ["judge"], "timeout": 0.5 if answer == "late" else 10}}
    plugins = [Judges(answer)]
    async with opened(database_url, plugins=plugins, worker=False, auto_extract=False) as nm:
        await nm.add_memory("alice", "likes tea", "fact")
    async with opened(
        database_url, plugins=plugins, worker=False, auto_extract=False, settings=settings
    ) as nm:
        with pytest.raises(RecallError, match=says) as caught:
            await nm.recall("alice", "tea", limit=1)
        assert caught.value.arm == "judge"
        answered = await nm.recall("alice", "tea", limit=1, on_arm_error="skip")
        assert answered["skipped"] == ["judge"]
        assert [item["content"] for item in answered["merged"]] == ["likes tea"]
        assert 0 <= answered["merged"][0]["score"] <= 1
