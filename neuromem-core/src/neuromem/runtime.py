"""What exists only while a NeuroMemory is open, and how it is wired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.digest.handler import DigestHandler
from neuromem.digest.related_memories import RelatedMemories
from neuromem.digest.service import DigestService
from neuromem.facades.conversations import Conversations
from neuromem.facades.files import Files
from neuromem.facades.graph import Graph
from neuromem.facades.kv import KeyValue
from neuromem.facades.life import Life
from neuromem.ingest.documents.object_store import Objects
from neuromem.ingest.documents.upload import DocumentService
from neuromem.ingest.embedding.handler import EmbeddingHandler
from neuromem.ingest.embedding.index_build import IndexHandler
from neuromem.ingest.embedding.space_migration import SpaceMigration
from neuromem.ingest.extraction.handler import ExtractionHandler
from neuromem.ingest.reextraction.service import ReextractionService
from neuromem.ingest.service import IngestService
from neuromem.jobs.worker import Worker
from neuromem.recall.service import QueryEmbeddings, RecallService
from neuromem.store.conversations.extraction_queue import ExtractionRequest
from neuromem.store.memories.access_counts import AccessCounts
from neuromem.store.queue.worker_liveness import WorkerLiveness
from neuromem.store.retrieval.reader import Search
from neuromem.store.search_index.vectors import ActiveSpaces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.config import Settings
    from neuromem.domain.extraction import ExtractionStrategy
    from neuromem.observe import MeteredLLM, Observers
    from neuromem.plugin.context import Clock
    from neuromem.plugin.providers import EmbeddingProvider, ObjectStorage
    from neuromem.plugin.stages import Extractor
    from neuromem.recall.pipeline import Pipeline
    from neuromem.store.database.database import Database
    from neuromem.store.search_index.vectors import EmbeddingSpace


@dataclass(frozen=True, slots=True)
class Components:
    """What a NeuroMemory was made with; what is callable here can change at any time."""

    settings: Settings
    strategy: ExtractionStrategy
    clock: Clock
    embedding: EmbeddingProvider
    llm: MeteredLLM | None
    storage: ObjectStorage | None
    extractors: Mapping[str, Extractor]
    pipeline: Pipeline
    observers: Observers
    auto_extract: Callable[[], bool]
    graph_enabled: Callable[[], bool]
    reflection_interval: Callable[[], int]


class Runtime:
    """Everything that exists only while a NeuroMemory is open."""

    def __init__(self, parts: Components, database: Database, space: EmbeddingSpace) -> None:
        settings, observers, strategy = parts.settings, parts.observers, parts.strategy
        self.database = database
        self._spaces = ActiveSpaces(space)
        self._models = {space.space: parts.embedding}
        self._observers = observers
        extractors = [
            ExtractionHandler(
                database,
                name,
                extractor,
                settings=settings,
                strategy=strategy,
                observers=observers,
                llm=parts.llm,
                graph=parts.graph_enabled,
            )
            for name, extractor in parts.extractors.items()
        ]
        objects = Objects(database, parts.storage, settings.work.lease) if parts.storage else None
        self.search = Search(database, settings, self._spaces)
        self.recall = RecallService(
            self.search,
            parts.pipeline,
            QueryEmbeddings(self._embed_query),
            settings.recall,
            parts.clock,
            settings.extraction.zone,
        )
        liveness = WorkerLiveness(database)
        thinking = DigestService(
            database,
            settings,
            llm=parts.llm,
            related=RelatedMemories(database, self.recall, settings.digest),
            observers=observers,
            clock=parts.clock,
            wake=lambda: self.worker.wake(),
            liveness=liveness,
        )
        self.indexer = IndexHandler(database, settings.vectors)
        self.worker = Worker(
            database,
            settings.work,
            [
                EmbeddingHandler(
                    database, parts.embedding, space, observers, exact_limit=settings.vectors.exact_limit
                ),
                self.indexer,
                *extractors,
                *([objects] if objects else []),
                *([DigestHandler(database, thinking)] if parts.llm else []),
            ],
            liveness,
        )
        wanted = ExtractionRequest(
            [handler.capability for handler in extractors],
            strategy.message_interval,
            strategy.idle_timeout,
            strategy.on_session_close,
        )
        self.ingest = IngestService(
            database,
            settings,
            wake=self.worker.wake,
            extraction=wanted if extractors else None,
            auto_extract=parts.auto_extract,
            reflection_interval=parts.reflection_interval if parts.llm else lambda: 0,
        )
        self.graph = Graph(database)
        self.kv = KeyValue(database)
        self.files: Files | None = None
        if objects is not None:
            documents = DocumentService(database, objects, settings, wake=self.worker.wake)
            self.files = Files(documents, objects, database, self.recall)
        self.conversations = Conversations(self.ingest, database, self.recall)
        self.accesses = AccessCounts(database)
        self.reembedder = SpaceMigration(
            database,
            observers,
            settings.work,
            switched=self._switched,
            make_worker=lambda handlers: Worker(database, settings.work, handlers),
            exact_limit=settings.vectors.exact_limit,
        )
        again = ReextractionService(database, settings, extractors, parts.clock, self.worker.wake)
        self.life = Life(
            database,
            settings,
            parts.clock,
            self.worker.wake,
            self.accesses,
            thinking,
            self.reembedder,
            again,
            objects,
        )

    async def _embed_query(self, space: int, text: str) -> Sequence[float]:
        model = self._models[space]
        return await self._observers.embedding(model.model, 1, lambda: model.embed_query(text))

    def _switched(self, space: EmbeddingSpace, model: EmbeddingProvider, handler: EmbeddingHandler) -> None:
        """Search, and embed what comes, with another model from now on."""
        self._models[space.space] = model
        self._spaces.switch(space)
        self.worker.add_handler(handler)
        self.worker.wake()
