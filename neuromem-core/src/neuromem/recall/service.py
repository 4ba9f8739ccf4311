"""Answers a question: resolve -> search -> response.

`RecallService.question` checks what is asked, `recall.resolve` adds what is known before anything is searched,
`recall.pipeline` finds and ranks on one connection, `recall.response` makes the dict.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.bounded_cache import BoundedCache
from neuromem.domain.memory_types import MEMORY_TYPES, RECALLED_TYPES
from neuromem.domain.query import Filters, Query
from neuromem.errors import InputError
from neuromem.recall import resolve
from neuromem.recall.response import result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime, tzinfo

    from neuromem.config import RecallSettings
    from neuromem.domain.query import Kind, UserSnapshot
    from neuromem.domain.recall_result import RecallResult
    from neuromem.plugin.context import Clock
    from neuromem.plugin.ports import Search
    from neuromem.recall.pipeline import Pipeline
    from neuromem.recall.results import Outcome


MAX_LIMIT = 10_000
MAX_NEIGHBORS = 20  # turns on each side
MAX_QUERY = 100_000  # characters


class QueryEmbeddings:
    """The vectors of the last questions, so that a question asked again is not embedded again.

    Args:
        embed: Embeds a text by the model of the embedding space of a number.
        size: How many vectors are kept at most.
    """

    def __init__(self, embed: Callable[[int, str], Awaitable[Sequence[float]]], size: int = 512) -> None:
        self._embed = embed
        self._known: BoundedCache[tuple[int, str], Sequence[float]] = BoundedCache(size)

    async def get(self, space: int, text: str) -> Sequence[float]:
        """Return the vector of a question in a space."""
        known = self._known.get((space, text))
        if known is None:
            known = await self._embed(space, text)
            self._known.put((space, text), known)
        return known


class RecallService:
    """Answers questions through the pipeline."""

    def __init__(
        self,
        search: Search,
        pipeline: Pipeline,
        embeddings: QueryEmbeddings,
        settings: RecallSettings,
        clock: Clock,
        zone: tzinfo,
    ) -> None:
        self._search = search
        self.pipeline = pipeline
        self._embeddings = embeddings
        self._settings = settings
        self._clock = clock
        self._zone = zone  # in which "yesterday" is meant; as_of brings its own

    async def recall(
        self,
        user_id: str,
        query: str,
        limit: int,
        *,
        memory_type: str | None,
        created_after: datetime | None,
        as_of: datetime | None,
        created_before: datetime | None,
        event_after: datetime | None,
        event_before: datetime | None,
        include_conversations: bool | None,
        min_score: float | None,
        explain: bool,
        metadata: Mapping[str, Any] | None,
        language: str | None,
        on_arm_error: str,
        graph: bool,
        neighbors: int,
    ) -> RecallResult:
        """Return the contract's dict; `NeuroMemory.recall` says what each argument means."""
        asked = self.question(
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
            metadata=metadata,
            language=language,
            graph=graph,
        )
        least = validation.number("min_score", min_score, 0, 1)
        if on_arm_error not in ("raise", "skip"):
            raise InputError(f"on_arm_error must be 'raise' or 'skip', not {on_arm_error!r}.")
        if neighbors:
            validation.count("neighbors", neighbors, most=MAX_NEIGHBORS)
        outcome, about = await self.run(
            asked, min_relevance=least, skip_errors=on_arm_error == "skip", neighbors=neighbors
        )
        return result(outcome, about, limit=limit, explain=explain)

    def question(
        self,
        user_id: str,
        query: str,
        limit: int = 20,
        *,
        memory_type: str | None = None,
        created_after: datetime | None = None,
        as_of: datetime | None = None,
        created_before: datetime | None = None,
        event_after: datetime | None = None,
        event_before: datetime | None = None,
        include_conversations: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        language: str | None = None,
        graph: bool = False,
    ) -> Query:
        """Return the checked question; raises `InputError` for what cannot be asked."""
        validation.user_id(user_id)
        validation.count("limit", limit, most=MAX_LIMIT)
        return Query(
            user_id=user_id,
            text=_asked(query, user_id),
            now=validation.moment("as_of", as_of) or self._clock.now().astimezone(self._zone),
            limit=limit,
            depth=max(self._settings.depth, limit),
            language=validation.language(language),
            graph=graph,
            filters=Filters(
                kinds=_kinds(memory_type, include_conversations),
                memory_types=(str(memory_type),) if memory_type in MEMORY_TYPES else None,
                created_after=validation.moment("created_after", created_after),
                created_before=validation.moment("created_before", created_before),
                event_after=validation.moment("event_after", event_after),
                event_before=validation.moment("event_before", event_before),
                metadata=validation.metadata(metadata) or None,
                as_of=as_of,
                # what was not known yet at that moment was found by its messages
                include_extracted=include_conversations is True
                or memory_type == "message"
                or as_of is not None,
            ),
        )

    async def run(
        self,
        query: Query,
        *,
        min_relevance: float | None = None,
        skip_errors: bool = False,
        neighbors: int = 0,
    ) -> tuple[Outcome, UserSnapshot]:
        """Resolve a question and run the pipeline on it.

        Args:
            query: The question, as `question` built it.
            min_relevance: What is less relevant is left out; None: nothing.
            skip_errors: Whether a failing or late retriever or reranker is named in the outcome instead of raised.
            neighbors: So many turns before and after each message found come with it.

        Returns:
            What was found, and what is known of the user at the moment of the search.

        Raises:
            RecallError: A stage failed or was late.
        """
        query = resolve.with_times(query)
        speakers = (await self._search.known_snapshot(query.user_id)).speakers
        resolved = resolve.with_speakers(query, speakers)
        while True:
            outcome, snapshot = await self._search_once(
                resolved, min_relevance, neighbors, skip_errors=skip_errors
            )
            # The speakers were known from the last answer, which saves a statement before each search. When a
            # message by somebody new arrived since, and the question names him, the search is repeated.
            if snapshot.speakers == speakers:
                return outcome, snapshot
            speakers, previous = snapshot.speakers, resolved
            resolved = resolve.with_speakers(query, speakers)
            if resolved == previous:
                return outcome, snapshot

    async def _search_once(
        self, query: Query, min_relevance: float | None, neighbors: int, *, skip_errors: bool
    ) -> tuple[Outcome, UserSnapshot]:
        """Run the pipeline on one connection and in one snapshot, and read what is shown beside the answer."""
        pipeline = self.pipeline
        with_vectors = bool(pipeline.uses_vectors)
        async with self._search.open(query.user_id, self._vector, with_vectors=with_vectors) as reader:
            outcome = await pipeline.run(query, reader, min_relevance=min_relevance, skip_errors=skip_errors)
            vector_lists = pipeline.uses_vectors & outcome.ranked.keys()
            with_relations = pipeline.uses_relations & outcome.ranked.keys()
            messages = [found.hit for found in outcome.merged if found.hit.kind == "message"]
            outcome = replace(
                outcome,
                relations=await reader.relations(query) if with_relations else (),
                vector_search=reader.search(query) if vector_lists else None,
                vector_lists=vector_lists,
                turns=await reader.turns(query, messages, neighbors) if neighbors and messages else {},
            )
            return outcome, await reader.about(query)

    async def _vector(self, space: int, text: str) -> Sequence[float]:
        async with asyncio.timeout(self._settings.timeout):
            return await self._embeddings.get(space, text)


def _asked(query: object, user_id: str) -> str:
    if not isinstance(query, str):
        raise InputError(f"The query of user {user_id!r} must be a string, not {type(query).__name__}.")
    if not query.strip():
        raise InputError(f"The query of user {user_id!r} is empty; ask for something.")
    if len(query) > MAX_QUERY:
        raise InputError(
            f"The query of user {user_id!r} has {len(query):,} characters; at most {MAX_QUERY:,} are possible. Ask "
            "with the part of it that matters."
        )
    return validation.characters("query", query)


def _kinds(memory_type: str | None, include_conversations: bool | None) -> tuple[Kind, ...]:
    if include_conversations is not None and not isinstance(include_conversations, bool):
        raise InputError(f"include_conversations must be True, False or None, not {include_conversations!r}.")
    if memory_type is None:
        return ("memory",) if include_conversations is False else ("message", "memory")
    if memory_type == "message":
        return ("message",)
    if memory_type == "document":
        return ("document",)
    if memory_type in MEMORY_TYPES:
        return ("memory",)
    known = ", ".join(RECALLED_TYPES)
    raise InputError(f"The memory type {memory_type!r} is not known; use one of {known}, or None for all.")
