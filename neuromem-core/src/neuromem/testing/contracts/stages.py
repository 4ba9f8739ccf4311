"""Contracts of the pipeline's stages that need no database."""

from __future__ import annotations

import asyncio
import copy
import inspect
import itertools
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.domain.extraction import RELATIONS_TO_KNOWN, Extraction
from neuromem.domain.memory_types import MEMORY_TYPES
from neuromem.domain.recall_result import Candidate
from neuromem.testing.contracts.base import Contract, missing
from neuromem.testing.samples import NOW, hit, query, window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.extraction import ExtractedMemory, ExtractedRelation
    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import Fused, RetrievedItem
    from neuromem.plugin.stages import Extractor, Fusion, Observer, Reranker, Scorer

_HITS = (
    hit("Alice works at Google"),
    hit(
        "我养了一只猫",
        kind="message",
        memory_type="message",
        speaker="Alice",
        session_id="monday",
        position=3,
    ),
    hit("Old and sad", created_at=NOW - timedelta(days=20_000), importance=1.0, valence=-1.0, arousal=1.0),
    hit("Not yet", occurred_at=NOW + timedelta(days=400), importance=10.0, valence=1.0, arousal=0.0),
    hit("Many " * 5_000, kind="document", memory_type="document", metadata={"pinned": True, "tags": ["a"]}),
    hit("Nobody asked", score=0.0, relevance=0.0, ranks={}),
)


class ExtractorContract(Contract):
    """Override the fixture ``extractor``, and ``contents`` with what it finds something in."""

    contents: Sequence[str] = ("I work at Google as a backend engineer", "I like strong coffee")

    @pytest.fixture
    def extractor(self) -> Extractor:
        """Return the extractor, not yet used."""
        missing("the fixture `extractor`")

    @pytest.fixture
    def subject(self, extractor: Extractor) -> Any:
        """Return what is tested."""
        return extractor

    async def use(self, subject: Any) -> object:
        """Extract one window."""
        return await subject.extract(window(*self.contents))

    def test_it_returns_what_can_be_stored(self, subject: Extractor) -> None:
        """Types, ranges and aware datetimes; sources are messages of the window."""
        given = window(*self.contents)
        found: Extraction = self.run(subject, lambda one: one.extract(given))
        assert isinstance(found, Extraction)
        assert [*found.memories, *found.relations, *found.profile], "it finds nothing in `contents`"
        ids = {message.id for message in given.messages}
        items: list[ExtractedMemory | ExtractedRelation] = [*found.memories, *found.relations]
        for item in items:
            assert set(item.sources) <= ids
            for bound in (item.valid_from, item.valid_until):
                assert bound is None or bound.tzinfo is not None
            assert item.confidence is None or 0 <= item.confidence <= 1
        for memory in found.memories:
            assert memory.content.strip()
            assert memory.memory_type in MEMORY_TYPES
            assert memory.relation in RELATIONS_TO_KNOWN
            assert memory.importance is None or 1 <= memory.importance <= 10
            assert memory.valence is None or -1 <= memory.valence <= 1
            assert memory.arousal is None or 0 <= memory.arousal <= 1
            assert memory.occurred_at is None or memory.occurred_at.tzinfo is not None

    def test_users_at_the_same_time_are_not_mixed(self, subject: Extractor) -> None:
        """A window gives the same whether it is extracted alone or at the same time as others."""
        users = ("alice", "bob", "carol")
        windows = [
            window(*self.contents[n % len(self.contents) :], user_id=user) for n, user in enumerate(users)
        ]

        async def both(subject: Extractor) -> tuple[list[Extraction], list[Extraction]]:
            together = await asyncio.gather(*(subject.extract(one) for one in windows))
            return together, [await subject.extract(one) for one in windows]

        together, alone = self.run(subject, both)
        for given, found in zip(windows, together, strict=True):
            ids = {message.id for message in given.messages}
            assert all(set(item.sources) <= ids for item in (*found.memories, *found.relations))
        assert [self.shown(one) for one in together] == [self.shown(one) for one in alone]

    def test_the_same_window_gives_the_same(self, subject: Extractor) -> None:
        """A job that is run again adds nothing new; the window is left alone."""
        given = window(*self.contents)
        before = copy.deepcopy(given)
        first, again = (self.run(subject, lambda one: one.extract(given)) for _ in range(2))
        assert self.shown(first) == self.shown(again)
        assert given == before

    def shown(self, found: Extraction) -> object:
        """Return what of an extraction is stored."""
        return list(found.memories), list(found.relations), dict(found.profile)


class FusionContract:
    """Override the fixture ``fusion``."""

    @pytest.fixture
    def fusion(self) -> Fusion:
        """Return the fusion."""
        missing("the fixture `fusion`")

    def ranked(self) -> dict[str, list[Candidate]]:
        """Return three lists that overlap; one comes from a retriever that nobody has heard of."""
        return {
            "bm25": [Candidate(f"m{n}", "message", 9.0 - n, relevance=0.9 - n / 10) for n in range(6)],
            "vector": [
                Candidate(f"m{n}", "message", 0.9 - n / 20, relevance=0.8 - n / 20) for n in (3, 0, 7)
            ],
            "from-a-plugin": [Candidate("k1", "memory", 1.0), Candidate("m0", "message", 1.0)],
        }

    def test_the_union_comes_back_best_first(self, fusion: Fusion) -> None:
        """Everything once, nothing invented, scores that fall."""
        ranked = self.ranked()
        fused = fusion.fuse(ranked)
        assert sorted(item.id for item in fused) == sorted({c.id for found in ranked.values() for c in found})
        scores = [item.score for item in fused]
        assert scores == sorted(scores, reverse=True)

    def test_scores_and_relevances_lie_between_0_and_1(self, fusion: Fusion) -> None:
        """Whatever the lists look like: one candidate, equal scores, zeros, huge numbers, empty lists."""
        for ranked in (
            self.ranked(),
            {"bm25": [Candidate("a", "memory", 3.0)]},
            {"bm25": [Candidate(letter, "memory", 2.0) for letter in "abc"]},
            {"bm25": [Candidate("a", "memory", 0.0), Candidate("b", "memory", 0.0)], "vector": []},
            {"bm25": [Candidate("a", "memory", 1e12), Candidate("b", "memory", -1e12)]},
        ):
            for item in fusion.fuse(ranked):
                for number in (item.score, item.relevance):
                    assert math.isfinite(number)
                    assert 0 <= number <= 1

    def test_nothing_found_is_an_empty_list(self, fusion: Fusion) -> None:
        """With lists that are empty, and without lists."""
        assert not fusion.fuse({})
        assert not fusion.fuse({"bm25": [], "vector": []})

    def test_ranks_count_from_1_in_every_list(self, fusion: Fusion) -> None:
        """They are what ``explain`` shows."""
        ranked = self.ranked()
        for item in fusion.fuse(ranked):
            places = {
                name: place
                for name, candidates in ranked.items()
                for place, candidate in enumerate(candidates, start=1)
                if (candidate.kind, candidate.id) == (item.kind, item.id)
            }
            assert dict(item.ranks) == places

    def test_the_order_of_the_retrievers_does_not_matter(self, fusion: Fusion) -> None:
        """Discovery order never decides an answer; the same lists give the same answer."""

        def shown(ranked: Mapping[str, Sequence[Candidate]]) -> list[tuple[str, float]]:
            return [(item.id, round(item.score, 9)) for item in fusion.fuse(ranked)]

        answers = [shown(dict(lists)) for lists in itertools.permutations(self.ranked().items())]
        assert all(answer == answers[0] for answer in answers)

    def test_the_lists_are_left_alone(self, fusion: Fusion) -> None:
        """They are shown by ``recall()`` afterwards."""
        ranked = self.ranked()
        fusion.fuse(ranked)
        assert ranked == self.ranked()

    def test_it_returns_the_kind_that_was_found(self, fusion: Fusion) -> None:
        """A memory and a message may share an id."""
        ranked = {"bm25": [Candidate("same", "memory", 2.0), Candidate("same", "message", 1.0)]}
        fused: Sequence[Fused] = fusion.fuse(ranked)
        assert sorted(item.kind for item in fused) == ["memory", "message"]


class ScorerContract:
    """Override the fixture ``scorer``."""

    @pytest.fixture
    def scorer(self) -> Scorer:
        """Return the scorer."""
        missing("the fixture `scorer`")

    def questions(self) -> Sequence[Query]:
        """Return questions of several kinds."""
        return (query(), query("我的猫叫什么？", language="zh"), query("Alice", named=("Alice",)), query(""))

    def test_a_signal_lies_between_0_and_1(self, scorer: Scorer) -> None:
        """For any hit, also one of which nothing is known, lies in the future or is very old."""
        for asked, found in itertools.product(self.questions(), _HITS):
            signal = scorer.score(asked, found)
            assert math.isfinite(signal)
            assert 0 <= signal <= 1

    def test_the_same_hit_has_the_same_signal(self, scorer: Scorer) -> None:
        """The clock of an answer is ``query.now``, not the machine's; the hit's companions do not matter."""
        for asked in self.questions():
            first = [scorer.score(asked, found) for found in _HITS]
            again = [scorer.score(asked, found) for found in reversed(_HITS)]
            assert first == again[::-1]

    def test_what_does_not_apply_is_0_for_everything(self, scorer: Scorer) -> None:
        """A scorer whose ``applies(query)`` is false is not asked, so its signal must be 0."""
        applies = getattr(scorer, "applies", None)
        if applies is None:
            pytest.skip("the scorer has no applies()")
        for asked in self.questions():
            if not applies(asked):
                assert {scorer.score(asked, found) for found in _HITS} == {0.0}


class RerankerContract(Contract):
    """Override the fixture ``reranker``, or inherit `HttpContract` before this one."""

    pointwise: bool = True
    """Whether a hit is judged without regard to the others; models that compare hits set False."""

    @pytest.fixture
    def reranker(self) -> Reranker:
        """Return the reranker, not yet used."""
        missing("the fixture `reranker`")

    @pytest.fixture
    def subject(self, reranker: Reranker) -> Any:
        """Return what is tested."""
        return reranker

    async def use(self, subject: Any) -> object:
        """Rerank three hits."""
        return await subject.rerank(query(), _HITS[:3])

    @pytest.mark.parametrize("count", [1, 3, 250])
    def test_every_hit_gets_a_relevance_between_0_and_1(self, subject: Reranker, count: int) -> None:
        """One number a hit, however many there are."""
        hits: list[RetrievedItem] = [hit(f"note {n}", id=f"{n}") for n in range(count)]
        relevances = self.run(subject, lambda one: one.rerank(query(), hits))
        assert len(relevances) == count
        assert all(math.isfinite(relevance) and 0 <= relevance <= 1 for relevance in relevances)

    def test_relevances_come_in_the_order_of_the_hits(self, subject: Reranker) -> None:
        """Whoever answers best first has to put them back, today as tomorrow."""
        if not self.pointwise:
            pytest.skip("the reranker compares hits with each other")
        asked = query()
        hits = [hit(text) for text in ("It rained", asked.text, "Alice works at Google", "我养了一只猫")]

        async def both(subject: Reranker) -> tuple[Sequence[float], Sequence[float]]:
            return await subject.rerank(asked, hits), await subject.rerank(asked, hits[::-1])

        there, back = self.run(subject, both)
        assert list(there) == pytest.approx(list(back)[::-1], abs=0.01)
        assert max(there) - min(there) > 0.01, "every hit has one relevance"

    def test_answers_at_the_same_time_are_not_mixed(self, subject: Reranker) -> None:
        """Each question gets the judgment of its own hits."""
        answers = [[hit(f"note {n}", id=f"{n}") for n in range(count)] for count in (1, 5, 2, 40)]

        async def together(subject: Reranker) -> list[Sequence[float]]:
            return await asyncio.gather(*(subject.rerank(query(), hits) for hits in answers))

        assert [len(found) for found in self.run(subject, together)] == [1, 5, 2, 40]

    def test_no_hits_need_no_judgment(self, subject: Reranker) -> None:
        """An empty answer is no error."""
        assert list(self.run(subject, lambda one: one.rerank(query(), []))) == []


class ObserverContract:
    """Override the fixture ``observer``."""

    @pytest.fixture
    def observer(self) -> Observer:
        """Return the observer."""
        missing("the fixture `observer`")

    events: Mapping[str, Mapping[str, Any]] = {
        "on_llm_call": {
            "model": "m",
            "duration_ms": 1.0,
            "temperature": 0.1,
            "max_tokens": 10,
            "prompt_tokens": None,
            "completion_tokens": 5,
            "success": True,
            "error": None,
        },
        "on_embedding_call": {
            "model": "m",
            "text_count": 2,
            "duration_ms": 1.0,
            "success": True,
            "error": None,
        },
        "on_extraction": {
            "user_id": "alice",
            "session_id": "monday",
            "duration": 0.5,
            "messages_processed": 2,
            "facts_extracted": 1,
            "episodes_extracted": 0,
            "triples_extracted": 0,
            "profile_updates": 0,
            "error": None,
        },
        "on_digest": {
            "user_id": "alice",
            "duration": 0.5,
            "memories_analyzed": 2,
            "insights_generated": 1,
            "error": None,
        },
    }

    @pytest.mark.parametrize("failed", [False, True], ids=["success", "failure"])
    @pytest.mark.parametrize("name", sorted(events))
    def test_it_takes_every_event(self, observer: Observer, name: str, *, failed: bool) -> None:
        """Counts may be None, and calls fail; the event is shared with others and left alone."""
        event = dict(self.events[name])
        if failed:
            event["error"] = "RateLimitError: too many calls"
            event.update({"success": False} if "success" in event else {})
        before = copy.deepcopy(event)
        method = getattr(observer, name)
        assert not inspect.iscoroutinefunction(method), f"{name} must be a plain def: nobody awaits it"
        method(event)
        assert event == before
