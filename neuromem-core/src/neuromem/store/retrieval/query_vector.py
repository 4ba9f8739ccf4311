"""The question's vector: embedded once for each space and text, and shared by all that ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from neuromem.store.retrieval.single_flight import SingleFlight
from neuromem.store.search_index.vectors import normalized_vector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pgvector import HalfVector

    from neuromem.domain.query import Query
    from neuromem.store.search_index.vectors import EmbeddingSpace


@dataclass(frozen=True, slots=True)
class QueryVector:
    """A question's vector, normalized, in the embedding space that it belongs to."""

    space: EmbeddingSpace
    vector: HalfVector


class QueryVectors:
    """The vectors of the questions of one reader.

    Args:
        embed: Returns the embedding of a text in the space with this number.
    """

    def __init__(self, embed: Callable[[int, str], Awaitable[Sequence[float]]]) -> None:
        self._embed = embed
        self._vectors: dict[tuple[int, str], SingleFlight[HalfVector | None]] = {}

    async def get(self, query: Query, space: EmbeddingSpace) -> QueryVector | None:
        """Return the vector of a question in a space; None when it is a zero vector. Raises what ``embed`` raised."""
        text = query.topic or query.text
        key = (space.space, text)
        if key not in self._vectors:
            self._vectors[key] = SingleFlight(partial(self._normalized, space, text))
        vector = await self._vectors[key].get()
        return None if vector is None else QueryVector(space, vector)

    async def get_if_available(self, query: Query, space: EmbeddingSpace) -> QueryVector | None:
        """Return the vector of a question in a space; None also when embedding failed.

        The vector retriever asks by `get` and raises that error; the search by words goes on without a vector.
        """
        try:
            return await self.get(query, space)
        except Exception:  # noqa: BLE001  see above
            return None

    async def _normalized(self, space: EmbeddingSpace, text: str) -> HalfVector | None:
        return normalized_vector(await self._embed(space.space, text), space, space.provider)
