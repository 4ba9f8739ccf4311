"""NeuroMemory: opening and closing it, and the names of its public methods.

The methods themselves stand in `neuromem.facades`, each signature once; `delegated` puts them here. What exists while a
NeuroMemory is open is made by `neuromem.runtime`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar, cast

from neuromem.config import Settings
from neuromem.domain import validation
from neuromem.domain.extraction import ExtractionStrategy
from neuromem.errors import ClosedError, ConfigurationError
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
from neuromem.ingest.extraction.active_extractors import choose_extractors
from neuromem.observe import MeteredLLM, Observers
from neuromem.plugin.context import SystemClock
from neuromem.recall.assembly import assemble
from neuromem.registry import PluginRegistry
from neuromem.runtime import Components, Runtime
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.schema.migrate import prepare_schema
from neuromem.store.search_index.vectors import open_space

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from types import TracebackType

    from neuromem.plugin.providers import DatabaseProvider, EmbeddingProvider, LLMProvider, ObjectStorage

FacadeT = TypeVar("FacadeT")
P = ParamSpec("P")
# The coroutine as a whole: of the result alone, mypy would forget the name of a TypedDict.
ReturnT = TypeVar("ReturnT", bound="Coroutine[Any, Any, Any]")

logger = logging.getLogger("neuromem")


def delegated(
    facade: type[FacadeT], method: Callable[Concatenate[FacadeT, P], ReturnT]
) -> Callable[Concatenate[NeuroMemory, P], ReturnT]:
    """Return a method of `NeuroMemory` that calls a method of one of its facades.

    Signature and docstring are the facade's: for `help()`, for `inspect`, and for the type checker.

    Args:
        facade: The class of the facade.
        method: One of its coroutine functions.
    """

    async def call(nm: NeuroMemory, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        return await method(nm._facade(facade), *args, **kwargs)

    functools.update_wrapper(call, method)
    call.__qualname__ = f"NeuroMemory.{method.__name__}"
    return cast("Callable[Concatenate[NeuroMemory, P], ReturnT]", call)


class NeuroMemory:
    """Memory for AI agents, in your own process and one PostgreSQL.

    ::

        async with NeuroMemory() as nm:
            await nm.ingest(user_id="alice", role="user", content="I work at Google as a backend engineer")
            result = await nm.recall(user_id="alice", query="Where does Alice work?")

    A provider is an instance, a name such as ``"openai:text-embedding-3-small"``, or None: then
    ``NEUROMEM_EMBEDDING`` / ``_LLM`` / ``_STORAGE`` / ``_DATABASE_URL``, then the one installed plugin that offers
    a default. Entering the context connects, migrates and starts the background work; leaving it waits for that
    work (bounded) and closes what was opened. What is not finished is done at the next start.

    ``auto_extract``, ``graph_enabled``, ``reflection_interval`` and the callbacks ``on_extraction``, ``on_digest``,
    ``on_llm_call`` and ``on_embedding_call`` are attributes that can be set at any time. Every method but
    `init`, `close` and `run_worker` raises `ClosedError` while it is not open, and every one `DatabaseError` when
    PostgreSQL fails.

    Args:
        database_url: The database, ``postgresql://user@host:port/name``.
        embedding: The embedding model. A schema belongs to the model it was filled with; `reembed` changes it.
        llm: The LLM that extracts and digests; ``"none"`` for none.
        storage: Where the bytes of files go; without one ``nm.files`` raises `ConfigurationError`.
        extraction: When messages are extracted; None: each at once, see `ExtractionStrategy`.
        auto_extract: Whether a message is extracted when `ingest` does not say.
        graph_enabled: Whether extraction fills the knowledge graph and recall searches it.
        reflection_interval: A digest in the background after so many messages of role user, for each user; 0: never.
        pool_size: Connections to the database at most, 1 to 1,000.
        echo: Log every SQL statement, without its values, to the logger ``neuromem.sql``.
        on_extraction: Called after each extraction, sync or async, with an `ExtractionEvent`'s keys.
        on_llm_call: Called after each call of the LLM, sync or async, with an `LLMCallEvent`'s keys.
        on_embedding_call: Called after each call of the embedding model, sync or async, with an
            `EmbeddingCallEvent`'s keys.
        schema: The schema in the database that holds everything: lower-case letters, digits and underscores, at most
            63, not starting with a digit.
        auto_migrate: Bring the schema up to date when it is opened; otherwise an old schema raises `MigrationError`.
        worker: Do background work in this process; False leaves it to others, see `run_worker`.
        pooler: "transaction" behind a pooler in transaction mode, such as PgBouncer.
        plugins: Plugin objects to use beside the installed ones.
        settings: `Settings`, or a mapping that overrides the environment's.

    Raises:
        ConfigurationError: Settings or providers cannot be used, or a provider is missing.
        InputError: ``pool_size`` is out of range.
        PluginError: A plugin is broken or breaks a rule.
    """

    def __init__(
        self,
        database_url: str | None = None,
        embedding: EmbeddingProvider | str | None = None,
        llm: LLMProvider | str | None = None,
        storage: ObjectStorage | str | None = None,
        *,
        extraction: ExtractionStrategy | None = None,
        auto_extract: bool = True,
        graph_enabled: bool = False,
        reflection_interval: int = 20,
        pool_size: int = 10,
        echo: bool = False,
        on_extraction: Callable[[Any], object] | None = None,
        on_llm_call: Callable[[Any], object] | None = None,
        on_embedding_call: Callable[[Any], object] | None = None,
        schema: str = "neuromem",
        auto_migrate: bool = True,
        worker: bool = True,
        pooler: Literal["transaction"] | None = None,
        plugins: Iterable[object] | None = None,
        settings: Settings | Mapping[str, Any] | None = None,
    ) -> None:
        self.settings = settings if isinstance(settings, Settings) else Settings.load(settings)
        self.auto_extract = auto_extract
        self.graph_enabled = graph_enabled
        self.reflection_interval = reflection_interval
        self.on_extraction = on_extraction
        self.on_digest: Callable[[Any], object] | None = None
        self.on_llm_call = on_llm_call
        self.on_embedding_call = on_embedding_call
        self._database_url = database_url or self.settings.database_url
        self._pool_size = validation.count("pool_size", pool_size, most=1_000)
        self._echo = echo
        self._schema = schema
        self._auto_migrate = auto_migrate
        self._serve_jobs = worker
        self._pooler = pooler
        self.registry = PluginRegistry.discover(plugins or (), options=self.settings.stage_options)
        self._embedding = self.registry.choose_embedding(embedding or self.settings.embedding).value
        chosen_llm = self.registry.choose_llm(llm or self.settings.llm)
        self._llm = chosen_llm.value if chosen_llm else None
        chosen_storage = self.registry.choose_storage(storage or self.settings.storage)
        self._storage = chosen_storage.value if chosen_storage else None
        self._database_provider: DatabaseProvider | None = (
            None if self._database_url else self.registry.choose_database().value
        )
        self._components = self._make_components(extraction or ExtractionStrategy())
        self._runtime: Runtime | None = None
        self._opening = asyncio.Lock()

    def _make_components(self, strategy: ExtractionStrategy) -> Components:
        """Build the active stages, and collect what the runtime is made from."""
        settings, registry, clock = self.settings, self.registry, SystemClock()
        stages = registry.stages(
            enable=settings.enable,
            disable=settings.disable,
            extractors=settings.extraction.extractors,
            fusion=settings.recall.fusion,
            rerankers=settings.recall.rerankers,
        )
        pipeline = assemble(registry, stages, settings, clock)
        observers = Observers({offer.spec.name: registry.build(offer) for offer in stages.observers})
        for event in observers.callbacks:
            observers.callbacks[event] = _call_latest(self, event)
        llm = MeteredLLM(self._llm, observers) if self._llm else None
        return Components(
            settings=settings,
            strategy=strategy,
            clock=clock,
            embedding=self._embedding,
            llm=llm,
            storage=self._storage,
            extractors=choose_extractors(registry, stages, settings.disable, llm, clock),
            pipeline=pipeline,
            observers=observers,
            choose_embedding=lambda embedding: registry.choose_embedding(embedding).value,
            auto_extract=lambda: self.auto_extract,
            graph_enabled=lambda: self.graph_enabled,
            reflection_interval=lambda: self.reflection_interval,
        )

    # Opening and closing

    async def init(self) -> Self:
        """Connect, bring the schema up to date and start the background work; does nothing when it is open.

        Returns:
            This NeuroMemory.

        Raises:
            DatabaseUnavailableError: PostgreSQL cannot be reached.
            MigrationError: The schema is not what this version needs, or cannot be brought up to date.
            EmbeddingSpaceError: The schema was filled with another embedding model.
            ProviderError: A provider cannot be used.
        """
        async with self._opening:  # several may call at once
            if self._runtime is None:
                await self._init()
        return self

    async def _init(self) -> None:
        try:
            address = self._database_url
            if address is None and self._database_provider is not None:
                address = await self._database_provider.open()
            assert address is not None
            self._runtime = await self._open(address)
        except BaseException:
            await self._close_providers()
            raise
        if self._llm is None:
            extractors = self._components.extractors
            what = f"extracted by {', '.join(extractors)} alone" if extractors else "not extracted"
            logger.info("No LLM was chosen: messages are stored, indexed and recalled, and %s.", what)

    async def _open(self, address: str) -> Runtime:
        database = Database(
            parse_dsn(address),
            schema=self._schema,
            pool_size=self._pool_size,
            echo=self._echo,
            pooler=self._pooler,
        )
        try:
            await prepare_schema(database, migrate=self._auto_migrate)
            space = await open_space(database, self._embedding)
            runtime = Runtime(self._components, database, space)
            if self._serve_jobs:
                await runtime.start()
        except BaseException:
            await database.close()
            raise
        return runtime

    async def close(self) -> None:
        """Stop the background work and close what was opened; what is not finished stays queued."""
        runtime, self._runtime = self._runtime, None
        self._opening = asyncio.Lock()  # the next to open may be another event loop
        if runtime is not None:
            await runtime.stop()
            await self._close_providers()

    async def _close_providers(self) -> None:
        for provider in (self._embedding, self._llm, self._storage, self._database_provider):
            if provider is not None:
                await provider.close()
        await self._components.pipeline.close()

    async def __aenter__(self) -> Self:
        """Open; see `init`."""
        return await self.init()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for background work, unless something went wrong, and close."""
        try:
            if kind is None and self._runtime is not None and self._runtime.worker.running:
                left = await self._finish(self.settings.work.drain_timeout)
                if left:
                    logger.warning("%d jobs were not finished; they are done at the next start.", left)
        finally:
            await self.close()

    async def _finish(self, timeout: float) -> int:
        if self._components.strategy.on_shutdown:
            return await self.drain(timeout=timeout)
        return await self._open_runtime.worker.drain(timeout=timeout)

    async def run_worker(self, stop: asyncio.Event, *, until_done: bool = False) -> None:
        """Do background work until ``stop`` is set, or until none is left; also with ``worker=False``.

        For a process of its own: opens, works, and closes; what is not finished is given back.

        Args:
            stop: Set it to end the work.
            until_done: Also end when no job is left.

        Raises:
            NeuroMemError: What `init` raises.
        """
        try:
            await self.init()
            worker = self._open_runtime.worker
            if not worker.running:
                worker.start()
            waiting: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
            if until_done:
                waiting.append(asyncio.create_task(worker.drain()))
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            await self.close()

    # Facades with a name of their own

    @property
    def conversations(self) -> Conversations:
        """Messages and sessions."""
        return self._facade(Conversations)

    @property
    def files(self) -> Files:
        """Documents; `ConfigurationError` when there is no object storage."""
        files = self._open_runtime.facade(Files)
        if files is None:
            raise ConfigurationError(
                "nm.files needs an object storage, and none was chosen: give NeuroMemory(storage=...), for example "
                "S3Storage(...) of neuromem-s3 or FolderStorage(...) of neuromem-local, or set NEUROMEM_STORAGE."
            )
        return files

    @property
    def graph(self) -> Graph:
        """Nodes, edges, paths."""
        return self._facade(Graph)

    @property
    def kv(self) -> KeyValue:
        """JSON values by namespace and key."""
        return self._facade(KeyValue)

    # Storing and asking

    ingest = delegated(Conversations, Conversations.ingest)
    recall = delegated(Recall, Recall.recall)
    context = delegated(Recall, Recall.context)
    explain_missing = delegated(Recall, Recall.explain_missing)

    # Memories

    add_memory = delegated(Memories, Memories.add_memory)
    get_memory = delegated(Memories, Memories.get_memory)
    list_memories = delegated(Memories, Memories.list_memories)
    get_memories_by_time_range = delegated(Memories, Memories.get_memories_by_time_range)
    get_recent_memories = delegated(Memories, Memories.get_recent_memories)
    update_memory = delegated(MemoryChanges, MemoryChanges.update_memory)
    pin = delegated(MemoryChanges, MemoryChanges.pin)
    delete_memory = delegated(MemoryChanges, MemoryChanges.delete_memory)
    delete_memories = delegated(MemoryChanges, MemoryChanges.delete_memories)
    restore_memory = delegated(MemoryChanges, MemoryChanges.restore_memory)

    # The past

    memory_history = delegated(History, History.memory_history)
    diff = delegated(History, History.diff)
    rollback_memories = delegated(History, History.rollback_memories)

    # Insights

    digest = delegated(Insights, Insights.digest)
    insights = delegated(Insights, Insights.insights)
    emotion_profile = delegated(Insights, Insights.emotion_profile)

    # A user's data as a whole

    stats = delegated(UserData, UserData.stats)
    usage = delegated(UserData, UserData.usage)
    set_language = delegated(UserData, UserData.set_language)
    cold_memories = delegated(UserData, UserData.cold_memories)
    forget = delegated(UserData, UserData.forget)
    entity_profile = delegated(UserData, UserData.entity_profile)
    delete_user_data = delegated(UserData, UserData.delete_user_data)
    verify_deleted = delegated(UserData, UserData.verify_deleted)
    export_user_data = delegated(ExportImport, ExportImport.export_user_data)
    export = delegated(ExportImport, ExportImport.export)
    import_user_data = delegated(ExportImport, ExportImport.import_user_data)

    # Another embedding model, another extraction

    reembed = delegated(EmbeddingSpaces, EmbeddingSpaces.reembed)
    reembedding = delegated(EmbeddingSpaces, EmbeddingSpaces.reembedding)
    spaces = delegated(EmbeddingSpaces, EmbeddingSpaces.spaces)
    drop_space = delegated(EmbeddingSpaces, EmbeddingSpaces.drop_space)
    reextract = delegated(Reextraction, Reextraction.reextract)

    # Background work

    drain = delegated(BackgroundWork, BackgroundWork.drain)
    retry_failed_extractions = delegated(BackgroundWork, BackgroundWork.retry_failed_extractions)
    retry_failed_jobs = delegated(BackgroundWork, BackgroundWork.retry_failed_jobs)

    def _facade(self, kind: type[FacadeT]) -> FacadeT:
        """Return the open facade of a class; raises `ClosedError` when this NeuroMemory is not open."""
        facade = self._open_runtime.facade(kind)
        assert facade is not None
        return facade

    @property
    def _open_runtime(self) -> Runtime:
        if self._runtime is None:
            raise ClosedError(
                "This NeuroMemory is not open. Use `async with NeuroMemory(...) as nm:`, or call `await nm.init()`."
            )
        return self._runtime


def _call_latest(owner: NeuroMemory, event: str) -> Callable[[Any], object]:
    """Return a callback that calls what the owner's attribute holds at the moment of the event."""

    def call(payload: Any) -> object:
        callback = getattr(owner, event)
        return None if callback is None else callback(payload)

    return call
