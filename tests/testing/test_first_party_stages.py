"""The core's own stages pass the kit that plugin authors are given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.ingest.llm import LLMExtractor
from neuromem.plugin import Observer
from neuromem.recall.fusion import NormalizedFusion, ReciprocalRankFusion
from neuromem.recall.retrievers import ConversationRetriever, LexicalRetriever, VectorRetriever
from neuromem.recall.scoring import (
    EmotionScorer,
    ImportanceScorer,
    RecencyScorer,
    SpeakerScorer,
    TimeScorer,
)
from neuromem.testing import ScriptedLLM
from neuromem.testing.contracts import (
    ExtractorContract,
    FusionContract,
    ObserverContract,
    PluginContract,
    RetrieverContract,
    ScorerContract,
)

if TYPE_CHECKING:
    from neuromem.plugin import Extractor, Fusion, Retriever, Scorer


class TestNormalizedFusion(FusionContract):
    @pytest.fixture
    def fusion(self) -> Fusion:
        return NormalizedFusion()


class TestReciprocalRankFusion(FusionContract):
    @pytest.fixture
    def fusion(self) -> Fusion:
        return ReciprocalRankFusion()


class TestScorers(ScorerContract):
    @pytest.fixture(params=[RecencyScorer, SpeakerScorer, TimeScorer, ImportanceScorer, EmotionScorer])
    def scorer(self, request: pytest.FixtureRequest) -> Scorer:
        made: Scorer = request.param()
        return made


class TestLexicalRetriever(RetrieverContract):
    @pytest.fixture
    def retriever(self) -> Retriever:
        return LexicalRetriever()


class TestVectorRetriever(RetrieverContract):
    @pytest.fixture
    def retriever(self) -> Retriever:
        return VectorRetriever()


class TestConversationRetriever(RetrieverContract):
    @pytest.fixture
    def retriever(self) -> Retriever:
        return ConversationRetriever()


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
