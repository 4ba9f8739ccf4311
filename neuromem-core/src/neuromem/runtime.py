"""What exists only while a NeuroMemory is open, and how it is wired.

`Components` is what a NeuroMemory was made with. `Runtime` makes from it, on an open database, the services, then the
worker that serves the jobs, then the facades. Begin reading at `Runtime.__init__`: it is the order of the wiring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from neuromem.digest.handler import DigestHandler
from neuromem.digest.related_memories import RelatedMemories
from neuromem.digest.service import DigestService
from neuromem.facades.background_work import BackgroundWork
from neuromem.facades.conversations import Conversations
from neuromem.facades.embedding_spaces import EmbeddingSpaces
from neuromem.facades.export_import import ExportImport
from neuromem.facades.files import Files
from neuromem.facades.graph import Graph
from neuromem.facades.history import History
from neuromem.facades.insights import Insights
from neuromem.facades.kv import KeyValue
from neuromem.facades.memories import Memories
from neuromem.facades.memory_changes import MemoryChanges
from neuromem.facades.recall import Recall
from neuromem.facades.reextraction import Reextraction
from neuromem.facades.user_data import UserData
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
from neuromem.store.retrieval.reader import StoreSearch
from neuromem.store.search_index.vectors import ActiveSpaces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.config import Settings
    from neuromem.domain.extraction import ExtractionStrategy
    from neuromem.jobs.handlers import JobHandler
    from neuromem.observe import MeteredLLM, Observers
    from neuromem.plugin.context import Clock
    from neuromem.plugin.providers import EmbeddingProvider, ObjectStorage
    from neuromem.plugin.stages import Extractor
    from neuromem.recall.pipeline import Pipeline
    from neuromem.store.database.database import Database
    from neuromem.store.search_index.vectors import EmbeddingSpace

FacadeT = TypeVar("FacadeT")


@dataclass(frozen=True, slots=True)
class Components:
    """What a NeuroMemory was made with.

    ``auto_extract``, ``graph_enabled`` and ``reflection_interval`` are called whenever they are needed, because the
    attributes of a NeuroMemory can be set at any time. ``choose_embedding`` returns the provider of an instance or a
    name.
    """

    settings: Settings
    strategy: ExtractionStrategy
    clock: Clock
    embedding: EmbeddingProvider
    llm: MeteredLLM | None
    storage: ObjectStorage | None
    extractors: Mapping[str, Extractor]
    pipeline: Pipeline
    observers: Observers
    choose_embedding: Callable[[EmbeddingProvider | str], EmbeddingProvider]
    auto_extract: Callable[[], bool]
    graph_enabled: Callable[[], bool]
    reflection_interval: Callable[[], int]


class Runtime:
    """Everything that exists only while a NeuroMemory is open: services, the worker, the facades."""

    def __init__(self, components: Components, database: Database, space: EmbeddingSpace) -> None:
        self._components = components
        self.database = database
        self._spaces = ActiveSpaces(space)
        self._models = {space.space: components.embedding}
        self._liveness = WorkerLiveness(database)
        self.accesses = AccessCounts(database)
        # Services
        self._search = StoreSearch(database, components.settings, self._spaces)
        self._recall = self._make_recall()
        self._digests = self._make_digests()
        self._objects = self._make_objects()
        self.space_migration = self._make_space_migration()
        # The worker and what it serves
        self.indexer = IndexHandler(database, components.settings.vectors)
        self._extraction_handlers = self._make_extraction_handlers()
        self.worker = Worker(
            database, components.settings.work, self._make_job_handlers(space), self._liveness
        )
        # The facades
        self._facades = {type(facade): facade for facade in self._make_facades()}

    def facade(self, kind: type[FacadeT]) -> FacadeT | None:
        """Return the facade of a class; None when it was not made, as `Files` without an object storage."""
        return cast("FacadeT | None", self._facades.get(kind))

    async def start(self) -> None:
        """Enqueue the index builds that are due, and start the worker."""
        await self.indexer.enqueue_missing()
        self.worker.start()

    async def stop(self) -> None:
        """Stop the background work, write what is buffered and close the database; unfinished jobs stay queued."""
        await self.space_migration.close()
        await self.worker.stop()
        await self.accesses.close()
        await self.database.close()

    def _make_facades(self) -> list[object]:
        """Make every facade; this is the one list of them."""
        components, database = self._components, self.database
        settings, clock, wake = components.settings, components.clock, self._wake
        facades: list[object] = [
            Conversations(self._make_ingest(), database, self._recall),
            Graph(database),
            KeyValue(database),
            Memories(database, settings, clock, wake=wake),
            MemoryChanges(database, settings, clock, wake=wake),
            Recall(self._recall, self._search, self.accesses, graph_enabled=components.graph_enabled),
            History(database, clock, wake=wake),
            Insights(self._digests, wake=wake),
            UserData(database, settings, self.accesses, wake=wake),
            ExportImport(database, clock, self._objects, wake=wake),
            EmbeddingSpaces(database, self.space_migration, components.choose_embedding),
            Reextraction(self._make_reextraction()),
            BackgroundWork(database, self.worker),
        ]
        if self._objects is not None:
            documents = DocumentService(database, self._objects, settings, wake=wake)
            facades.append(Files(documents, self._objects, database, self._recall))
        return facades

    def _make_recall(self) -> RecallService:
        """Make what answers questions."""
        components = self._components
        return RecallService(
            self._search,
            components.pipeline,
            QueryEmbeddings(self._embed_query),
            components.settings.recall,
            components.clock,
            components.settings.extraction.zone,
        )

    def _make_digests(self) -> DigestService:
        """Make what finds insights; it finds related memories by recall."""
        components = self._components
        return DigestService(
            self.database,
            components.settings,
            llm=components.llm,
            related=RelatedMemories(self.database, self._recall, components.settings.digest),
            observers=components.observers,
            clock=components.clock,
            wake=self._wake,
            liveness=self._liveness,
        )

    def _make_objects(self) -> Objects | None:
        """Make what keeps the bytes of files; None without an object storage."""
        components = self._components
        if components.storage is None:
            return None
        return Objects(self.database, components.storage, components.settings.work.lease)

    def _make_space_migration(self) -> SpaceMigration:
        """Make what changes the embedding model; it fills a new space with a worker of its own."""
        settings = self._components.settings
        return SpaceMigration(
            self.database,
            self._components.observers,
            settings.work,
            switched=self._switch_space,
            make_worker=lambda handlers: Worker(self.database, settings.work, handlers),
            exact_limit=settings.vectors.exact_limit,
        )

    def _make_extraction_handlers(self) -> list[ExtractionHandler]:
        """Make one handler of jobs for each extractor."""
        components = self._components
        return [
            ExtractionHandler(
                self.database,
                name,
                extractor,
                settings=components.settings,
                strategy=components.strategy,
                observers=components.observers,
                llm=components.llm,
                graph=components.graph_enabled,
            )
            for name, extractor in components.extractors.items()
        ]

    def _make_job_handlers(self, space: EmbeddingSpace) -> list[JobHandler]:
        """Return the handlers of all jobs; ``space`` is the active embedding space."""
        components = self._components
        handlers: list[JobHandler] = [
            EmbeddingHandler(
                self.database,
                components.embedding,
                space,
                components.observers,
                exact_limit=components.settings.vectors.exact_limit,
            ),
            self.indexer,
            *self._extraction_handlers,
        ]
        if self._objects is not None:
            handlers.append(self._objects)
        if components.llm is not None:
            handlers.append(DigestHandler(self.database, self._digests))
        return handlers

    def _make_ingest(self) -> IngestService:
        """Make what stores messages; digests follow only where there is an LLM."""
        components, strategy = self._components, self._components.strategy
        request = ExtractionRequest(
            [handler.capability for handler in self._extraction_handlers],
            strategy.message_interval,
            strategy.idle_timeout,
            strategy.on_session_close,
        )
        return IngestService(
            self.database,
            components.settings,
            wake=self._wake,
            extraction=request if self._extraction_handlers else None,
            auto_extract=components.auto_extract,
            reflection_interval=components.reflection_interval if components.llm else lambda: 0,
        )

    def _make_reextraction(self) -> ReextractionService:
        """Make what extracts messages again."""
        return ReextractionService(
            self.database,
            self._components.settings,
            self._extraction_handlers,
            self._components.clock,
            self._wake,
        )

    def _wake(self) -> None:
        """Tell the worker that there may be jobs; services are made before it."""
        self.worker.wake()

    async def _embed_query(self, space: int, text: str) -> Sequence[float]:
        """Embed a question with the model of a space and report the call to the observers."""
        model = self._models[space]
        return await self._components.observers.embedding(model.model, 1, lambda: model.embed_query(text))

    def _switch_space(
        self, space: EmbeddingSpace, model: EmbeddingProvider, handler: EmbeddingHandler
    ) -> None:
        """Search in another space from now on, and embed what is stored with its model."""
        self._models[space.space] = model
        self._spaces.switch(space)
        self.worker.add_handler(handler)
        self._wake()
