"""The core's own stages pass the kit that plugin authors are given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from neuromem import builtin
from neuromem.ingest.extraction.llm_extractor import LLMExtractor
from neuromem.plugin import Context, Observer
from neuromem.store.database.users import begin_write
from neuromem.store.graph.write import store_relations
from neuromem.testing import ScriptedLLM
from neuromem.testing.contracts import (
    ExtractorContract,
    FusionContract,
    ObserverContract,
    PluginContract,
    RetrieverContract,
    ScorerContract,
)
from neuromem.testing.internals import database_of
from tests.support.relations import edge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.messages import Message
    from neuromem.memory import NeuroMemory
    from neuromem.plugin import Extractor, Fusion, Retriever, Scorer, StageSpec


def built(specs: list[StageSpec[Any]]) -> list[Any]:
    """Return what the core's plugin offers, as parameters: what is added there is tested here."""
    return [pytest.param(spec.factory(Context(env={})), id=spec.name) for spec in specs]


class TestFusions(FusionContract):
    @pytest.fixture(params=built(builtin.neuromem_fusions()))
    def fusion(self, request: pytest.FixtureRequest) -> Fusion:
        made: Fusion = request.param
        return made


class TestScorers(ScorerContract):
    @pytest.fixture(params=built(builtin.neuromem_scorers()))
    def scorer(self, request: pytest.FixtureRequest) -> Scorer:
        made: Scorer = request.param
        return made


class TestRetrievers(RetrieverContract):
    @pytest.fixture(params=built(builtin.neuromem_retrievers()))
    def retriever(self, request: pytest.FixtureRequest) -> Retriever:
        made: Retriever = request.param
        return made

    async def prepare(self, memory: NeuroMemory, messages: Sequence[Message]) -> None:
        """Relate the user to the place of work, as extraction would."""
        memory.graph_enabled = True
        user = messages[0].user_id
        edges = [edge(user, "works_at", "Google", sources=[message.id for message in messages])]
        async with database_of(memory).user(user) as transaction:
            now = (await begin_write(transaction, user)).now
            await store_relations(transaction, user, edges, now, {"by": "extraction"})


class TestLLMExtractor(ExtractorContract):
    @pytest.fixture
    def extractor(self) -> Extractor:
        def tell(messages: Any) -> dict[str, Any]:
            shown = json.loads(next(m["content"] for m in messages if m["role"] == "user"))
            new = [turn for turn in shown["conversation"] if turn.get("new")]
            facts = [{"content": turn["text"], "sources": [turn["id"]], "confidence": 7} for turn in new]
            return {"facts": [*facts, {"content": "Invented", "sources": ["m99"]}], "episodes": []}

        return LLMExtractor(ScriptedLLM(always=tell))


class TestObserver(ObserverContract):
    @pytest.fixture
    def observer(self) -> Observer:
        return Observer()


class TestBuiltinPlugin(PluginContract):
    distribution = "neuromem"
