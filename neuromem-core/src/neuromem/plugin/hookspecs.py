"""The eleven hooks. Each is a plain ``def`` without arguments that returns, or yields, descriptors.

Implement those you need in one module, mark them with ``@hookimpl``, and name it in ``pyproject.toml``::

    [project.entry-points.neuromem]
    acme = "neuromem_acme.plugin"

Import what is heavy inside the factory, not in the module: hooks are called whenever neuromem starts, a
factory only when its object is chosen. Every example below is executed by the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.plugin.markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuromem.plugin.providers import DatabaseProvider, EmbeddingProvider, LLMProvider, ObjectStorage
    from neuromem.plugin.specs import CommandSpec, ProviderSpec, StageSpec
    from neuromem.plugin.stages import Extractor, Fusion, Observer, Reranker, Retriever, Scorer


@hookspec
def neuromem_embeddings() -> Iterable[ProviderSpec[EmbeddingProvider]]:
    """Offer embedding providers; one is chosen, by instance or name.

    ::

        from collections.abc import Sequence

        from neuromem.plugin import Context, EmbeddingProvider, ProviderSpec, hookimpl


        class LetterEmbedding(EmbeddingProvider):
            model = "letters"
            dims = 26

            async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
                return [[float(text.count(chr(97 + i))) for i in range(26)] for text in texts]


        def build(ctx: Context) -> LetterEmbedding:
            return LetterEmbedding()


        @hookimpl
        def neuromem_embeddings() -> list[ProviderSpec[EmbeddingProvider]]:
            return [ProviderSpec("letters", build, "Counts letters; for demonstrations", default=True)]
    """
    return ()


@hookspec
def neuromem_llms() -> Iterable[ProviderSpec[LLMProvider]]:
    """Offer LLM providers; one is chosen, by instance or name, or none.

    ::

        from collections.abc import Mapping, Sequence
        from typing import Any

        from neuromem.plugin import ChatMessage, ChatReply, Context, LLMProvider, ProviderSpec, hookimpl


        class Parrot(LLMProvider):
            def __init__(self, model: str) -> None:
                self._model = model

            @property
            def model(self) -> str:
                return self._model

            async def chat(
                self,
                messages: Sequence[ChatMessage],
                *,
                temperature: float = 0.1,
                max_tokens: int = 2048,
                json_schema: Mapping[str, Any] | None = None,
            ) -> str:
                return ChatReply(messages[-1]["content"], model=self._model, finish_reason="stop")


        def build(ctx: Context) -> Parrot:
            return Parrot(ctx.model or "grey")  # "parrot:green" sets ctx.model to "green"


        @hookimpl
        def neuromem_llms() -> list[ProviderSpec[LLMProvider]]:
            return [ProviderSpec("parrot", build, "Repeats what it hears")]
    """
    return ()


@hookspec
def neuromem_storages() -> Iterable[ProviderSpec[ObjectStorage]]:
    """Offer object storages for uploaded files; one is chosen, or none.

    ::

        from collections.abc import AsyncIterable

        from neuromem.errors import NotFoundError
        from neuromem.plugin import Context, ObjectStorage, ProviderSpec, hookimpl


        class Shelf(ObjectStorage):
            def __init__(self) -> None:
                self._objects: dict[str, bytes] = {}

            async def upload(
                self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
            ) -> str:
                whole = data if isinstance(data, bytes) else b"".join([part async for part in data])
                self._objects[key] = whole
                return key

            async def download(self, key: str) -> bytes:
                try:
                    return self._objects[key]
                except KeyError:
                    raise NotFoundError(f"There is no object {key!r} on the shelf.") from None

            async def delete(self, key: str) -> bool:
                return self._objects.pop(key, None) is not None

            async def exists(self, key: str) -> bool:
                return key in self._objects

            async def presigned_url(self, key: str, expires_in: int = 3600) -> str:
                return f"shelf:{key}"


        def build(ctx: Context) -> Shelf:
            return Shelf()


        @hookimpl
        def neuromem_storages() -> list[ProviderSpec[ObjectStorage]]:
            return [ProviderSpec("shelf", build, "Forgets everything when the process ends")]
    """
    return ()


@hookspec
def neuromem_databases() -> Iterable[ProviderSpec[DatabaseProvider]]:
    """Offer places to get a PostgreSQL from, for users who give no ``database_url``.

    ::

        from neuromem.plugin import Context, DatabaseProvider, ProviderSpec, hookimpl


        class TeamServer(DatabaseProvider):
            def __init__(self, host: str) -> None:
                self._host = host

            async def open(self) -> str:
                return f"postgresql://neuromem@{self._host}/neuromem"


        def build(ctx: Context) -> TeamServer:
            return TeamServer(ctx.options.get("host", "postgres.internal"))  # settings.plugins["team"]


        @hookimpl
        def neuromem_databases() -> list[ProviderSpec[DatabaseProvider]]:
            return [ProviderSpec("team", build, "The PostgreSQL that our team shares")]
    """
    return ()


@hookspec
def neuromem_extractors() -> Iterable[StageSpec[Extractor]]:
    """Offer extractors, which turn messages into memories, relations and profile updates.

    ::

        from neuromem.domain.extraction import ExtractedMemory, Extraction, Window
        from neuromem.plugin import Context, Extractor, StageSpec, hookimpl


        class Birthdays:
            async def extract(self, window: Window) -> Extraction:
                return Extraction(
                    memories=[
                        ExtractedMemory(message.content, memory_type="fact", sources=(message.id,))
                        for message in window.messages
                        if "my birthday is" in message.content.lower()
                    ]
                )


        def build(ctx: Context) -> Birthdays:
            return Birthdays()


        @hookimpl
        def neuromem_extractors() -> list[StageSpec[Extractor]]:
            return [StageSpec("birthdays", build, "Keeps birthdays and nothing else")]
    """
    return ()


@hookspec
def neuromem_retrievers() -> Iterable[StageSpec[Retriever]]:
    """Offer retrievers; all active ones are asked at the same time and each has a list in the fusion.

    How that list is to be read (weight, neighbors, whether its scores are absolute) stands on the `StageSpec`.

    ::

        from collections.abc import Sequence

        from neuromem.domain.query import Query
        from neuromem.domain.recall_result import Candidate
        from neuromem.plugin import Context, Reader, Retriever, StageSpec, hookimpl


        class Quoted:
            async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
                found = await reader.lexical(query)
                return [candidate for candidate in found if candidate.kind == "message"]


        def build(ctx: Context) -> Quoted:
            return Quoted()


        @hookimpl
        def neuromem_retrievers() -> list[StageSpec[Retriever]]:
            return [StageSpec("quoted", build, "Finds only what was literally said", order=50)]
    """
    return ()


@hookspec
def neuromem_fusions() -> Iterable[StageSpec[Fusion]]:
    """Offer fusions, which make one list of the retrievers' many; exactly one is active.

    ::

        from collections.abc import Mapping, Sequence

        from neuromem.domain.recall_result import Candidate, Fused
        from neuromem.plugin import Context, Fusion, StageSpec, hookimpl


        class ReciprocalRank:
            def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
                found: dict[str, Candidate] = {}
                ranks: dict[str, dict[str, int]] = {}
                for name, candidates in ranked.items():
                    for rank, candidate in enumerate(candidates, start=1):
                        found[candidate.id] = candidate
                        ranks.setdefault(candidate.id, {})[name] = rank
                fused = [
                    Fused(
                        id=candidate.id,
                        kind=candidate.kind,
                        score=sum(1 / rank for rank in ranks[candidate.id].values()) / len(ranked),
                        relevance=candidate.relevance or 0.0,
                        ranks=ranks[candidate.id],
                    )
                    for candidate in found.values()
                ]
                return sorted(fused, key=lambda item: (-item.score, item.id))


        def build(ctx: Context) -> ReciprocalRank:
            return ReciprocalRank()


        @hookimpl
        def neuromem_fusions() -> list[StageSpec[Fusion]]:
            return [StageSpec("reciprocal", build, "Mean of the reciprocal ranks")]
    """
    return ()


@hookspec
def neuromem_scorers() -> Iterable[StageSpec[Scorer]]:
    """Offer scorers; every active one adds a weighted signal in [0, 1], their order does not matter.

    The weight is that of the `StageSpec`, unless ``settings.recall.scorer_weights`` names another.

    ::

        from neuromem.domain.query import Query
        from neuromem.domain.recall_result import RetrievedItem
        from neuromem.plugin import Context, Scorer, StageSpec, hookimpl


        class Brevity:
            def score(self, query: Query, candidate: RetrievedItem) -> float:
                return 1 / (1 + len(candidate.content) / 100)


        def build(ctx: Context) -> Brevity:
            return Brevity()


        @hookimpl
        def neuromem_scorers() -> list[StageSpec[Scorer]]:
            return [StageSpec("brevity", build, "Prefers short memories")]
    """
    return ()


@hookspec
def neuromem_rerankers() -> Iterable[StageSpec[Reranker]]:
    """Offer rerankers; those named in the settings run one after the other over the best hits.

    ::

        from collections.abc import Sequence

        from neuromem.domain.query import Query
        from neuromem.domain.recall_result import RetrievedItem
        from neuromem.plugin import Context, Reranker, StageSpec, hookimpl


        class SharedWords:
            async def rerank(self, query: Query, hits: Sequence[RetrievedItem]) -> Sequence[float]:
                asked = set(query.text.lower().split())
                return [len(asked & set(hit.content.lower().split())) / (len(asked) or 1) for hit in hits]


        def build(ctx: Context) -> SharedWords:
            return SharedWords()


        @hookimpl
        def neuromem_rerankers() -> list[StageSpec[Reranker]]:
            return [StageSpec("shared-words", build, "Share of the question's words in the hit")]
    """
    return ()


@hookspec
def neuromem_observers() -> Iterable[StageSpec[Observer]]:
    """Offer observers, which are called after every call and event; their errors are logged, never raised.

    ::

        from neuromem.domain.events import LLMCallEvent
        from neuromem.plugin import Context, Observer, StageSpec, hookimpl


        class TokenCounter(Observer):
            def __init__(self) -> None:
                self.tokens = 0

            def on_llm_call(self, event: LLMCallEvent) -> None:
                self.tokens += event["completion_tokens"] or 0


        def build(ctx: Context) -> TokenCounter:
            return TokenCounter()


        @hookimpl
        def neuromem_observers() -> list[StageSpec[Observer]]:
            return [StageSpec("token-counter", build, "Counts the tokens that were written", default=True)]
    """
    return ()


@hookspec
def neuromem_commands() -> Iterable[CommandSpec]:
    """Offer subcommands of the ``neuromem`` command.

    ::

        import click

        from neuromem.plugin import CommandSpec, hookimpl


        def build() -> click.Command:
            @click.command(help="Say hello.")
            @click.option("--name", default="world", help="Whom to greet.")
            def hello(name: str) -> None:
                click.echo(f"Hello, {name}!")

            return hello


        @hookimpl
        def neuromem_commands() -> list[CommandSpec]:
            return [CommandSpec("hello", build, "Says hello")]
    """
    return ()
