"""Asking: `recall`, `context` and `explain_missing`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from neuromem.domain import validation
from neuromem.domain.memory_types import MEMORY_TYPES
from neuromem.domain.text.token_estimate import estimate_tokens
from neuromem.errors import InputError
from neuromem.recall.explain_missing import explain
from neuromem.recall.prompt_block import block
from neuromem.recall.response import result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from neuromem.domain.recall_result import RecallResult
    from neuromem.plugin.ports import Search
    from neuromem.recall.explain_missing import Missing
    from neuromem.recall.prompt_block import ContextBlock
    from neuromem.recall.service import RecallService
    from neuromem.store.memories.access_counts import AccessCounts

MAX_NEIGHBORS = 20  # turns on each side
MAX_TOKENS = 10_000_000


class Recall:
    """Finds what matters for a question; ``graph_enabled`` returns whether the knowledge graph takes part."""

    def __init__(
        self,
        service: RecallService,
        search: Search,
        accesses: AccessCounts,
        *,
        graph_enabled: Callable[[], bool],
    ) -> None:
        self._service = service
        self._search = search
        self._accesses = accesses
        self._graph_enabled = graph_enabled

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

        Times that the question names ("last week") are a preference, never a filter.

        Args:
            user_id: Whose memories and messages.
            query: The question, at most 100,000 characters.
            limit: How many items at most, 1 to 10,000.
            memory_type: A memory type, "message" or "document"; None: memories and messages.
            created_after: Learned at this moment or later; timezone-aware.
            as_of: The moment to answer as of: what was known then, and where "yesterday" is counted from.
            created_before: Learned earlier than this moment.
            event_after: Happened at this moment or later; an item without event time is left out.
            event_before: Happened earlier than this moment; an item without event time is left out.
            include_conversations: False: memories only. True: all messages too. None: messages too, except those
                whose extraction by a model is done.
            min_score: The least ``relevance`` of an item, 0 to 1.
            explain: Add to each item how its score came about.
            metadata: Keys and values that the item's metadata contains.
            language: The question's language, such as "de"; None: the user's.
            on_arm_error: "raise", or "skip" a retriever or reranker that fails and list it under ``skipped``.
            neighbors: So many turns before and after each message found, within its session, 0 to 20.

        Returns:
            ``merged``, the items in order, with ``score`` for this answer and absolute ``relevance``, both 0 to 1;
            ``vector_results``, ``bm25_results`` and ``conversation_results``, the lists of single retrievers;
            ``graph_results`` and ``graph_context``, relations of the graph; ``user_profile``; ``pending``, the
            background jobs that are not done yet; see `RecallResult`.

        Raises:
            InputError: The question cannot be asked so.
            RecallError: A retriever or reranker failed or was late; the error's ``arm`` names it.
        """
        question = self._service.question(
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
            graph=self._graph_enabled(),
        )
        least = validation.number("min_score", min_score, 0, 1)
        if on_arm_error not in ("raise", "skip"):
            raise InputError(f"on_arm_error must be 'raise' or 'skip', not {on_arm_error!r}.")
        if neighbors:
            validation.count("neighbors", neighbors, most=MAX_NEIGHBORS)
        outcome, snapshot = await self._service.run(
            question, min_relevance=least, skip_errors=on_arm_error == "skip", neighbors=neighbors
        )
        answer = result(outcome, snapshot, limit=limit, explain=explain)
        if as_of is None:
            self._accesses.note(
                user_id, [item["id"] for item in answer["merged"] if item["memory_type"] in MEMORY_TYPES]
            )
        return answer

    async def context(
        self,
        /,  # options may have any name
        user_id: str,
        query: str,
        max_tokens: int = 1_000,
        format: Literal["xml", "markdown"] = "xml",
        *,
        limit: int = 50,
        count_tokens: Callable[[str], int] = estimate_tokens,
        **options: Any,
    ) -> ContextBlock:
        """Recall, and return it as a block for a prompt: profile, facts, episodes with dates, and messages.

        What was recalled stands in the block as quoted data that cannot pose as an instruction, each item with its id.

        Args:
            user_id: Whose memories and messages.
            query: The question, as in `recall`.
            max_tokens: Tokens that the block may have, 1 to 10,000,000.
            format: "xml" or "markdown".
            limit: How many items to recall at most, 1 to 10,000.
            count_tokens: Counts the tokens of a text; the default estimates.
            **options: Further arguments of `recall`. With ``neighbors`` a message stands between the turns around it.

        Returns:
            ``text``, ``source_ids`` of what it shows, its ``tokens``, and ``omitted``, how many items did not fit.

        Raises:
            InputError: The question cannot be asked so.
            RecallError: A retriever or reranker failed or was late.
        """
        validation.count("max_tokens", max_tokens, most=MAX_TOKENS)
        found = await self.recall(user_id, query, limit, **options)
        return block(found, max_tokens=max_tokens, form=format, count=count_tokens)

    async def explain_missing(
        self,
        /,  # filters may have any name
        user_id: str,
        query: str,
        memory_id: str,
        limit: int = 20,
        *,
        min_score: float | None = None,
        **filters: Any,
    ) -> Missing:
        """Say why a memory is not in an answer: which retriever found it, at which rank, and what dropped it.

        Args:
            user_id: Whose memories and messages.
            query: The question, as in `recall`.
            memory_id: The id of a memory, message or passage.
            limit: The ``limit`` of the answer in question.
            min_score: The ``min_score`` of the answer in question.
            **filters: Its other filters: ``memory_type``, ``created_after``, ``created_before``, ``event_after``,
                ``event_before``, ``as_of``, ``include_conversations``, ``metadata``, ``language``.

        Returns:
            ``found``, ``rank``, ``fused_rank``, ``arms`` (per retriever rank and score, None where it was not found),
            ``dropped_by`` and ``why``.

        Raises:
            InputError: The question cannot be asked so.
            NotFoundError: The user has nothing of that id.
            RecallError: A retriever or reranker failed or was late.
        """
        question = self._service.question(user_id, query, limit, graph=self._graph_enabled(), **filters)
        least = validation.number("min_score", min_score, 0, 1)
        return await explain(self._service, self._search, question, memory_id, least)
