"""What exists only while a NeuroMemory is open, and how it is wired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.digest.background import DigestHandler
from neuromem.digest.related import Related
from neuromem.digest.service import DigestService
from neuromem.facades.conversations import Conversations
from neuromem.facades.files import Files
from neuromem.facades.graph import Graph
from neuromem.facades.kv import KeyValue
from neuromem.facades.life import Life
from neuromem.ingest.documents.objects import Objects
from neuromem.ingest.documents.service import DocumentService
from neuromem.ingest.embedding import Embedder
from neuromem.ingest.extraction import ExtractionHandler, needs
from neuromem.ingest.service import IngestService
from neuromem.recall.service import QueryEmbeddings, RecallService
from neuromem.store import digesting, extraction
from neuromem.store.access import Accesses
from neuromem.store.reader import Search
from neuromem.work.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.config import Settings
    from neuromem.domain.extraction import ExtractionStrategy
    from neuromem.observe import MeteredLLM, Observers
    from neuromem.plugin.context import Clock
    from neuromem.plugin.providers import EmbeddingProvider, ObjectStorage
    from neuromem.plugin.stages import Extractor
    from neuromem.recall.pipeline import Pipeline
    from neuromem.store.engine import Database
    from neuromem.store.vectors import Space


@dataclass(frozen=True, slots=True)
class Parts:
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


class Rooms:
    """Everything that exists only while a NeuroMemory is open."""

    def __init__(self, parts: Parts, database: Database, space: Space) -> None:
        settings, observers, embedding, strategy = (
            parts.settings, parts.observers, parts.embedding, parts.strategy,
        )  # fmt: skip
        self.database = database
        self.space = space
        extractors = {
            needs(name): ExtractionHandler(
                database, name, extractor, settings=settings, strategy=strategy,
                observers=observers, llm=parts.llm, graph=parts.graph_enabled,
            )
            for name, extractor in parts.extractors.items()
        }  # fmt: skip
        objects = Objects(database, parts.storage, settings.work.lease) if parts.storage else None

        async def embed_query(text: str) -> Sequence[float]:
            return await observers.embedding(embedding.model, 1, lambda: embedding.embed_query(text))

        self.search = Search(database, settings, space)
        self.recall = RecallService(
            self.search, parts.pipeline, QueryEmbeddings(embed_query), settings.recall, parts.clock
        )
        thinking = DigestService(
            database, settings, llm=parts.llm, related=Related(database, self.recall, settings.digest),
            observers=observers, clock=parts.clock, wake=lambda: self.worker.wake(),
        )  # fmt: skip
        self.worker = Worker(
            database,
            settings.work,
            {
                space.needs: Embedder(database, embedding, space, observers),
                **extractors,
                **({objects.needs: objects} if objects else {}),
                **({digesting.NEEDS: DigestHandler(database, thinking)} if parts.llm else {}),
            },
        )
        wanted = extraction.Wanted(
            list(extractors), strategy.message_interval, strategy.idle_timeout, strategy.on_session_close
        )
        self.ingest = IngestService(
            database, settings, wake=self.worker.wake, extraction=wanted if extractors else None,
            auto_extract=parts.auto_extract,
            reflection_interval=parts.reflection_interval if parts.llm else lambda: 0,
        )  # fmt: skip
        self.graph = Graph(database)
        self.kv = KeyValue(database)
        self.files: Files | None = None
        if objects is not None:
            documents = DocumentService(database, objects, settings, wake=self.worker.wake)
            self.files = Files(documents, objects, database, self.recall)
        self.conversations = Conversations(self.ingest, database, self.recall)
        self.accesses = Accesses(database)
        self.life = Life(database, settings, parts.clock, self.worker.wake, self.accesses, thinking)
