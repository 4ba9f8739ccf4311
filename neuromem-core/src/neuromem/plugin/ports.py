"""The ports that recall reads through; the store implements them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
    from contextlib import AbstractAsyncContextManager

    from neuromem.domain.graph import Edge
    from neuromem.domain.query import Kind, Query, UserSnapshot
    from neuromem.domain.recall_result import Candidate, Fused, RetrievedItem, Turn, VectorSearch


class Reader(Protocol):
    """Reads what one user's question may see; every method honors ``query.filters`` and ``query.user_id``."""

    async def lexical(self, query: Query) -> Sequence[Candidate]:
        """Return the entries that share words with the question, best BM25 score first."""
        ...

    async def vector(self, query: Query) -> Sequence[Candidate]:
        """Return the entries nearest to the question's embedding, best cosine first."""
        ...

    def search(self, query: Query) -> VectorSearch:
        """Return how `vector` found the nearest: "exact", or "approximate" through an index that may miss some."""
        ...

    async def around(self, query: Query) -> Sequence[Candidate]:
        """Return the turns before and after what words and vectors found, with scores of 0."""
        ...

    async def relations(self, query: Query) -> Sequence[Edge]:
        """Return the relations of whom and what the question names; empty when the graph is off."""
        ...

    async def related(self, query: Query) -> Sequence[Candidate]:
        """Return the messages that those relations come from and the memories derived from them, nearest first."""
        ...

    async def about(self, query: Query) -> UserSnapshot:
        """Return what is known of the user, in the transaction of this reader."""
        ...

    async def turns(
        self, query: Query, hits: Sequence[RetrievedItem], reach: int
    ) -> Mapping[str, Sequence[Turn]]:
        """Return up to ``reach`` turns before and after each message of ``hits``, by the message's id, in order."""
        ...

    async def visible(self, query: Query, keys: Sequence[tuple[Kind, str]]) -> Set[tuple[Kind, str]]:
        """Return those of the given entries, by kind and id, that the question may see."""
        ...

    async def load(self, query: Query, found: Sequence[Fused]) -> Sequence[RetrievedItem]:
        """Return what is stored about fused candidates; what the question may not see is left out."""
        ...


class Search(Protocol):
    """Opens readers."""

    async def known_snapshot(self, user_id: str) -> UserSnapshot:
        """Return what is known of a user before anything is searched; it may be as old as the last answer."""
        ...

    async def exclusion_reason(self, query: Query, item: str) -> tuple[str, str] | None:
        """Return what keeps an item out of the answer whatever its words and vector: (name, sentence), or None.

        Raises `NotFoundError` when the user has no such item.
        """
        ...

    async def is_embedded(self, query: Query, item: str) -> bool:
        """Return whether an item has a vector in the active embedding space."""
        ...

    def open(
        self, user_id: str, embed: Callable[[int, str], Awaitable[Sequence[float]]], *, with_vectors: bool
    ) -> AbstractAsyncContextManager[Reader]:
        """Open a reader for one question.

        ``embed`` gives a question's vector in the space of a number when it is wanted; ``with_vectors`` says that
        a retriever surely wants it, so that words and vectors are searched in one statement.
        """
        ...
