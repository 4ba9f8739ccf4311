"""NeuroMemory: the composition root and the lifecycle; the only place that wires rooms together."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Literal, Self

from neuromem.config import Settings
from neuromem.domain import validation
from neuromem.domain.extraction import ExtractionStrategy
from neuromem.domain.memories import NewMemory
from neuromem.domain.memory_types import GENERAL, MEMORY_TYPES
from neuromem.domain.text.token_estimate import estimate_tokens
from neuromem.errors import ClosedError, ConfigurationError
from neuromem.facades.embedding_spaces import EmbeddingSpaces
from neuromem.facades.export_import import ExportImport
from neuromem.facades.history import History
from neuromem.facades.insights import Insights
from neuromem.facades.memories import Memories
from neuromem.facades.reextraction import Reextraction
from neuromem.facades.user_data import UserData
from neuromem.ingest.extraction.active_extractors import choose_extractors
from neuromem.observe import MeteredLLM, Observers
from neuromem.plugin.context import SystemClock
from neuromem.recall.assembly import assemble
from neuromem.recall.explain_missing import explain
from neuromem.recall.prompt_block import block
from neuromem.registry import PluginRegistry
from neuromem.runtime import Components, Runtime
from neuromem.store.conversations.extraction_queue import release_waiting_extractions
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.queue.job_kinds import EXTRACT
from neuromem.store.queue.jobs import retry_jobs
from neuromem.store.queue.token_usage import total_token_usage
from neuromem.store.schema.migrate import prepare_schema
from neuromem.store.search_index.vectors import open_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from types import TracebackType

    from neuromem.domain.memories import Memory
    from neuromem.domain.messages import Message
    from neuromem.domain.recall_result import RecallResult
    from neuromem.facades.conversations import Conversations
    from neuromem.facades.files import Files
    from neuromem.facades.graph import Graph
    from neuromem.facades.kv import KeyValue
    from neuromem.facades.life import Life
    from neuromem.plugin.providers import DatabaseProvider, EmbeddingProvider, LLMProvider, ObjectStorage
    from neuromem.recall.explain_missing import Missing
    from neuromem.recall.prompt_block import ContextBlock

logger = logging.getLogger("neuromem")


class NeuroMemory(Memories, History, Insights, UserData, ExportImport, EmbeddingSpaces, Reextraction):
    """Memory for AI agents, in your own process and one PostgreSQL.

    ::

        async with NeuroMemory() as nm:
            await nm.ingest(user_id="alice", role="user", content="I work at Google as a backend engineer")
            result = await nm.recall(user_id="alice", query="Where does Alice work?")

    A provider is an instance, a name such as ``"openai:text-embedding-3-small"``, or None: then
    ``NEUROMEM_EMBEDDING`` / ``_LLM`` / ``_STORAGE`` / ``_DATABASE_URL``, then the one installed plugin that offers
    a default. Entering the context connects, migrates and starts the background work; leaving it waits for that
    work (bounded) and closes what was opened. What is not finished is done at the next start.
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
        self._strategy = extraction or ExtractionStrategy()
        self._database_url = database_url or self.settings.database_url
        self._pool_size = validation.count("pool_size", pool_size, most=1_000)
        self._echo = echo
        self._schema = schema
        self._auto_migrate = auto_migrate
        self._works = worker
        self._pooler = pooler
        self._clock = SystemClock()
        self.registry = PluginRegistry.discover(plugins or (), options=self.settings.stage_options)
        self._embedding = self.registry.choose_embedding(embedding or self.settings.embedding).value
        chosen_llm = self.registry.choose_llm(llm or self.settings.llm)
        self._llm = chosen_llm.value if chosen_llm else None
        chosen_storage = self.registry.choose_storage(storage or self.settings.storage)
        self._storage = chosen_storage.value if chosen_storage else None
        self._database_provider: DatabaseProvider | None = (
            None if self._database_url else self.registry.choose_database().value
        )
        stages = self.registry.stages(
            enable=self.settings.enable,
            disable=self.settings.disable,
            extractors=self.settings.extraction.extractors,
            fusion=self.settings.recall.fusion,
            rerankers=self.settings.recall.rerankers,
        )
        pipeline = assemble(self.registry, stages, self.settings, self._clock)
        self._observers = Observers({o.spec.name: self.registry.build(o) for o in stages.observers})
        for event in self._observers.callbacks:
            self._observers.callbacks[event] = _late(self, event)
        metered = MeteredLLM(self._llm, self._observers) if self._llm else None
        self._extractors = choose_extractors(
            self.registry, stages, self.settings.disable, metered, self._clock
        )
        self._parts = Components(
            settings=self.settings,
            strategy=self._strategy,
            clock=self._clock,
            embedding=self._embedding,
            llm=metered,
            storage=self._storage,
            extractors=self._extractors,
            pipeline=pipeline,
            observers=self._observers,
            auto_extract=lambda: self.auto_extract,
            graph_enabled=lambda: self.graph_enabled,
            reflection_interval=lambda: self.reflection_interval,
        )
        self.on_extraction = on_extraction
        self.on_digest: Callable[[Any], object] | None = None
        self.on_llm_call = on_llm_call
        self.on_embedding_call = on_embedding_call
        self._rooms: Runtime | None = None
        self._opening = asyncio.Lock()

    # Lifecycle

    async def init(self) -> Self:
        """Connect, bring the schema up to date and start the background work; does nothing when it is open."""
        async with self._opening:  # several may call at once
            if self._rooms is None:
                await self._init()
        return self

    async def _init(self) -> None:
        try:
            address = self._database_url
            if address is None and self._database_provider is not None:
                address = await self._database_provider.open()
            assert address is not None
            self._rooms = await self._open(address)
        except BaseException:
            await self._close_providers()
            raise
        if self._llm is None:
            what = (
                f"extracted by {', '.join(self._extractors)} alone" if self._extractors else "not extracted"
            )
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
            rooms = Runtime(self._parts, database, space)
            if self._works:
                await rooms.indexer.enqueue_missing()
        except BaseException:
            await database.close()
            raise
        if self._works:
            rooms.worker.start()
        return rooms

    async def close(self) -> None:
        """Stop the background work and close what was opened; what is not finished stays queued."""
        rooms, self._rooms = self._rooms, None
        self._opening = asyncio.Lock()  # the next to open may be another event loop
        if rooms is not None:
            await rooms.reembedder.close()
            await rooms.worker.stop()
            await rooms.accesses.close()
            await rooms.database.close()
            await self._close_providers()

    async def _close_providers(self) -> None:
        for provider in (self._embedding, self._llm, self._storage, self._database_provider):
            if provider is not None:
                await provider.close()
        await self._parts.pipeline.close()

    async def __aenter__(self) -> Self:
        """Open; see `init`."""
        return await self.init()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for background work, unless something went wrong, and close."""
        try:
            if kind is None and self._rooms is not None and self._rooms.worker.running:
                left = await self._finish(self.settings.work.drain_timeout)
                if left:
                    logger.warning("%d jobs were not finished; they are done at the next start.", left)
        finally:
            await self.close()

    async def drain(self, user_id: str | None = None, timeout: float | None = None) -> int:
        """Wait for background work, of one user or of all; returns how many jobs were left when time ran out.

        What waits for more messages is worked on now; what a budget puts off is not waited for.
        """
        if user_id is not None:
            validation.user_id(user_id)
        await release_waiting_extractions(self._open_rooms.database, user_id)
        return await self._open_rooms.worker.drain(user_id, timeout)

    async def _finish(self, timeout: float) -> int:
        if self._strategy.on_shutdown:
            return await self.drain(timeout=timeout)
        return await self._open_rooms.worker.drain(timeout=timeout)

    async def run_worker(self, stop: asyncio.Event, *, until_done: bool = False) -> None:
        """Do background work until ``stop`` is set, or until none is left; also with ``worker=False``.

        For a process of its own: opens, works, and closes; what is not finished is given back.
        """
        try:
            await self.init()
            worker = self._open_rooms.worker
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

    # Facades

    @property
    def conversations(self) -> Conversations:
        """Messages and sessions."""
        return self._open_rooms.conversations

    @property
    def files(self) -> Files:
        """Documents; `ConfigurationError` when there is no object storage."""
        files = self._open_rooms.files
        if files is None:
            raise ConfigurationError(
                "nm.files needs an object storage, and none was chosen: give NeuroMemory(storage=...), for example "
                "S3Storage(...) of neuromem-s3 or FolderStorage(...) of neuromem-local, or set NEUROMEM_STORAGE."
            )
        return files

    @property
    def graph(self) -> Graph:
        """Nodes, edges, paths."""
        return self._open_rooms.graph

    @property
    def kv(self) -> KeyValue:
        """JSON values by namespace and key."""
        return self._open_rooms.kv

    # Operations

    async def ingest(
        self,
        user_id: str,
        role: str,
        content: str,
        session_id: str | None = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        occurred_at: datetime | None = None,
        auto_extract: bool | None = None,
        language: str | None = None,
        idempotency_key: str | None = None,
    ) -> Message:
        """Store a message and return it; see `Conversations.ingest`."""
        return await self.conversations.ingest(
            user_id,
            role,
            content,
            session_id,
            name=name,
            metadata=metadata,
            occurred_at=occurred_at,
            auto_extract=auto_extract,
            language=language,
            idempotency_key=idempotency_key,
        )

    async def add_memory(
        self,
        user_id: str,
        content: str,
        memory_type: str = GENERAL.name,
        metadata: Mapping[str, Any] | None = None,
        occurred_at: datetime | None = None,
        importance: float | None = None,
    ) -> Memory:
        """Store a memory directly, without an LLM; the same statement again returns the stored one.

        ``importance`` lies in 1-10. Raises `InputError` before anything is stored.
        """
        validation.user_id(user_id)
        new = NewMemory(
            content=validation.content(content, most=self.settings.max_content, whose=user_id),
            memory_type=validation.memory_type(memory_type),
            metadata=validation.metadata(metadata),
            occurred_at=validation.moment("occurred_at", occurred_at),
            importance=validation.number("importance", importance, 1, 10),
            origin={"by": "user"},
        )
        return await self._open_rooms.ingest.memory(user_id, new)

    async def recall(
        self,
        user_id: str,
        query: str,
        limit: int = 20,
        memory_type: str | None = None,
        created_after: datetime | None = None,
        as_of: datetime | None = None,
        *,
        created_before: datetime | None = None,
        event_after: datetime | None = None,
        event_before: datetime | None = None,
        include_conversations: bool | None = None,
        min_score: float | None = None,
        explain: bool = False,
        metadata: Mapping[str, Any] | None = None,
        language: str | None = None,
        on_arm_error: Literal["raise", "skip"] = "raise",
        neighbors: int = 0,
    ) -> RecallResult:
        """Find what matters for a question: vector and BM25 candidates, fused and scored.

        Filters by ``after`` include the moment, those by ``before`` do not; what has no event time passes no filter by
        event. Times that the question names are a preference, never a filter. ``min_score`` is compared with
        ``relevance``. With ``neighbors=2`` each message in ``merged`` carries the two turns before and after it in its
        session.

        Raises `InputError` for what cannot be asked, `RecallError` naming the retriever or reranker that failed or was
        late; with ``on_arm_error="skip"`` it is listed under ``skipped`` instead.
        """
        rooms = self._open_rooms
        found = await rooms.recall.recall(
            user_id,
            query,
            limit,
            memory_type=memory_type,
            created_after=created_after,
            as_of=as_of,
            created_before=created_before,
            event_after=event_after,
            event_before=event_before,
            include_conversations=include_conversations,
            min_score=min_score,
            explain=explain,
            metadata=metadata,
            language=language,
            on_arm_error=on_arm_error,
            graph=self.graph_enabled,
            neighbors=neighbors,
        )
        if as_of is None:
            rooms.accesses.note(
                user_id, [m["id"] for m in found["merged"] if m["memory_type"] in MEMORY_TYPES]
            )
        return found

    async def context(
        self,
        user_id: str,
        query: str,
        max_tokens: int = 1_000,
        format: Literal["xml", "markdown"] = "xml",
        *,
        limit: int = 50,
        count_tokens: Callable[[str], int] = estimate_tokens,
        **options: Any,
    ) -> ContextBlock:
        """Recall, and return it as a block for a prompt: profile, facts, episodes with dates, and what was said.

        The block has at most ``max_tokens`` by ``count_tokens`` (default: an estimate); what was recalled stands in it
        as quoted data that cannot pose as an instruction, each item with its id. ``options`` are those of `recall`;
        with ``neighbors`` a message stands between the turns around it.
        """
        validation.count("max_tokens", max_tokens, most=10_000_000)
        found = await self.recall(user_id, query, limit, **options)
        return block(found, max_tokens=max_tokens, form=format, count=count_tokens)

    async def explain_missing(
        self,
        user_id: str,
        query: str,
        memory_id: str,
        limit: int = 20,
        *,
        min_score: float | None = None,
        **filters: Any,
    ) -> Missing:
        """Say why a memory is not in an answer: which retriever saw it, at which rank, and what dropped it.

        Takes the filters of `recall`. Raises `NotFoundError` when the user has no memory of that id.
        """
        rooms = self._open_rooms
        question = rooms.recall.question(user_id, query, limit, graph=self.graph_enabled, **filters)
        least = validation.number("min_score", min_score, 0, 1)
        return await explain(rooms.recall, rooms.search, question, memory_id, least)

    async def retry_failed_extractions(self, user_id: str | None = None, max_retries: int = 3) -> int:
        """Try again at once what failed or was given up, of one user or of all; returns how many messages.

        A message that was brought back ``max_retries`` times already is left alone.
        """
        return (await self.retry_failed_jobs(user_id, EXTRACT.name, max_retries)).get(EXTRACT.name, 0)

    async def retry_failed_jobs(
        self, user_id: str | None = None, kind: str | None = None, max_retries: int = 3
    ) -> dict[str, int]:
        """Try again at once what failed or was given up, of any kind or of one; returns how many jobs by kind.

        Kinds are those of `stats` and of ``neuromem jobs list``, such as "embed" and "extract". A job that was brought
        back ``max_retries`` times already is left alone.
        """
        if user_id is not None:
            validation.user_id(user_id)
        if kind is not None:
            validation.identifier("kind", kind)
        validation.count("max_retries", max_retries, most=1_000)
        retried = await retry_jobs(self._open_rooms.database, user_id, kind, max_retries)
        self._open_rooms.worker.wake()
        return retried

    async def usage(self, user_id: str, since: datetime | None = None) -> dict[str, dict[str, int]]:
        """Return what LLM calls for a user cost, by operation, since the day (UTC) of a moment.

        Each operation has ``calls, failures, prompt_tokens, completion_tokens``, as far as the providers tell.
        """
        return await total_token_usage(
            self._open_rooms.database, validation.user_id(user_id), validation.moment("since", since)
        )

    def _embedding_named(self, embedding: EmbeddingProvider | str) -> EmbeddingProvider:
        return self.registry.choose_embedding(embedding).value

    @property
    def _life(self) -> Life:
        return self._open_rooms.life

    @property
    def _open_rooms(self) -> Runtime:
        if self._rooms is None:
            raise ClosedError(
                "This NeuroMemory is not open. Use `async with NeuroMemory(...) as nm:`, or call `await nm.init()`."
            )
        return self._rooms


def _late(owner: NeuroMemory, event: str) -> Callable[[Any], object]:
    """Return a callback that looks up the owner's at the moment of the event: it can be set at any time."""

    def call(payload: Any) -> object:
        callback = getattr(owner, event)
        return None if callback is None else callback(payload)

    return call
