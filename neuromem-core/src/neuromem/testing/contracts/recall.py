"""The contract of retrievers: they are asked by a real ``recall()`` on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.domain.query import KINDS, Query
from neuromem.memory import NeuroMemory
from neuromem.plugin import StageSpec, hookimpl
from neuromem.testing.contracts.base import close, missing
from neuromem.testing.fakes import HashEmbedding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.messages import Message
    from neuromem.domain.recall_result import Candidate, RecallResult
    from neuromem.plugin.ports import Reader
    from neuromem.plugin.stages import Retriever

NAME = "under-test"


class _Watched:
    """Asks the retriever, and records the questions and its answers."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self.answers: list[tuple[Query, Sequence[Candidate]]] = []
        self.asked = asyncio.Event()

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        self.asked.set()
        found = await self._retriever.candidates(query, reader)
        self.answers.append((query, found))
        return found


class _Plugin:
    def __init__(self, watched: _Watched) -> None:
        self._watched = watched

    @hookimpl
    def neuromem_retrievers(self) -> list[StageSpec[Retriever]]:
        return [StageSpec(NAME, lambda ctx: self._watched, "The retriever under test", default=True)]


class RetrieverContract:
    """Override the fixture ``retriever``; ``contents`` are stored, ``question`` is asked of them.

    It uses the fixture ``database_url`` of `neuromem.testing.fixtures`, or your own of that name.
    """

    contents: Sequence[str] = ("I work at Google as a backend engineer", "I play the violin", "I like coffee")
    question: str = "Who likes to work at Google?"
    finds_something: bool = True
    """Whether the retriever finds anything for the question."""

    @pytest.fixture
    def retriever(self) -> Retriever:
        """Return the retriever, not yet used."""
        missing("the fixture `retriever`")

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        """Return further settings of the `neuromem.NeuroMemory` that asks."""
        return {}

    async def prepare(self, memory: NeuroMemory, messages: Sequence[Message]) -> None:
        """Store what else the retriever reads beside these messages of one user; default: nothing."""

    def ask(
        self,
        retriever: Retriever,
        url: str,
        settings: dict[str, Any],
        *users: str,
        at_once: bool = False,
        cancel: bool = False,
        **options: Any,
    ) -> tuple[list[tuple[Query, Sequence[Candidate]]], list[RecallResult], dict[str, set[str]]]:
        """Store the contents for alice, and other ones for bob; ask for each user, in turn or at once.

        With ``cancel`` a question that is given up half-way comes before.

        Returns the questions with the retriever's candidates, the answers of recall, and per user the ids that exist.
        """
        watched = _Watched(retriever)

        async def give_up(memory: NeuroMemory) -> None:
            task = asyncio.ensure_future(memory.recall("alice", self.question))
            await watched.asked.wait()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            watched.answers.clear()

        async def whole() -> tuple[list[RecallResult], dict[str, set[str]]]:
            owned: dict[str, set[str]] = {"alice": set(), "bob": set()}
            async with NeuroMemory(
                url,
                HashEmbedding(),
                "none",
                plugins=[_Plugin(watched)],
                settings=settings,
                auto_extract=False,
            ) as memory:
                for user, prefix in (("alice", ""), ("bob", "Bob says: ")):
                    messages = []
                    for content in self.contents:
                        messages.append(await memory.ingest(user, "user", prefix + content))
                        kept = await memory.add_memory(user, f"{prefix}{content}.")
                        owned[user] |= {messages[-1].id, kept.id}
                    await self.prepare(memory, messages)
                await memory.drain()
                if cancel:
                    await give_up(memory)
                calls = [memory.recall(user, self.question, **options) for user in users]
                answers = await asyncio.gather(*calls) if at_once else [await call for call in calls]
            await close(retriever)
            return answers, owned

        answers, owned = asyncio.run(whole())
        return watched.answers, answers, owned

    def test_candidates_are_few_distinct_and_best_first(
        self, retriever: Retriever, database_url: str, settings: dict[str, Any]
    ) -> None:
        """As many as ``query.depth`` at most, with scores that fall and relevances in [0, 1]."""
        narrow = {**settings, "recall": {**settings.get("recall", {}), "depth": 2}}
        ((query, found),), _, _ = self.ask(retriever, database_url, narrow, "alice")
        assert bool(found) is self.finds_something
        assert len(found) <= query.depth
        assert len({(one.kind, one.id) for one in found}) == len(found)
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True)
        for one in found:
            assert one.kind in KINDS
            assert math.isfinite(one.score)
            assert one.relevance is None or 0 <= one.relevance <= 1

    def test_users_see_their_own_only(
        self, retriever: Retriever, database_url: str, settings: dict[str, Any]
    ) -> None:
        """Candidates belong to the user who asks, also when two ask at the same time."""
        answers, _, owned = self.ask(retriever, database_url, settings, "alice", "bob", "alice", at_once=True)
        for query, found in answers:
            assert {one.id for one in found} <= owned[query.user_id]

    def test_the_same_question_has_the_same_answer(
        self, retriever: Retriever, database_url: str, settings: dict[str, Any]
    ) -> None:
        """Nothing of one question is left in the next."""
        answers, _, _ = self.ask(retriever, database_url, settings, "alice", "bob", "alice")
        assert [one.id for one in answers[0][1]] == [one.id for one in answers[2][1]]

    def test_it_works_on_two_event_loops_and_after_a_cancelled_question(
        self, retriever: Retriever, database_url: str, settings: dict[str, Any]
    ) -> None:
        """Nothing that belongs to the first loop, or to a question that was given up, is used later."""
        for _ in range(2):
            answers, _, _ = self.ask(retriever, database_url, settings, "alice", cancel=True)
            assert bool(answers[-1][1]) is self.finds_something

    def test_what_it_finds_reaches_the_answer(
        self, retriever: Retriever, database_url: str, settings: dict[str, Any]
    ) -> None:
        """With its rank, as ``explain`` shows it."""
        if not self.finds_something:
            pytest.skip("the retriever finds nothing for this question")
        _, (answer,), _ = self.ask(
            retriever, database_url, settings, "alice", explain=True, include_conversations=True
        )
        assert any(NAME in item["explain"]["arms"] for item in answer["merged"])
