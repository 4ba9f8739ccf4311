"""Another embedding model, without a stop."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.errors import EmbeddingSpaceError
from neuromem.facades.life import Operations
from neuromem.store.search_index.embedding_spaces import list_spaces

if TYPE_CHECKING:
    from neuromem.plugin.providers import EmbeddingProvider


class EmbeddingSpaces(Operations):
    """Changes the model of a schema, of all its users together."""

    @abstractmethod
    def _embedding_named(self, embedding: EmbeddingProvider | str) -> EmbeddingProvider:
        """Return the provider of a name."""

    async def reembed(self, space: EmbeddingProvider | str, background: bool = True) -> dict[str, Any]:
        """Change the embedding model: fill a new space beside the old one, then switch to it in one transaction.

        ``space`` is the new model, as the constructor's ``embedding``. Meanwhile recall answers from the old space,
        and what is stored is embedded for both. Returns how far it is, see `reembedding`; ``background=False``
        returns when it is done. An interrupted change goes on when this is called again; the old space stays, and
        can be changed back to, until `drop_space`. Raises `EmbeddingSpaceError` while another space is being filled.
        """
        reembedder = self._life.reembedder
        await reembedder.start(self._embedding_named(space))
        if not background:
            await reembedder.wait()
        progress = await reembedder.progress()
        if progress is None:
            raise EmbeddingSpaceError("The new space was dropped before it was filled; call reembed() anew.")
        return progress

    async def reembedding(self) -> dict[str, Any] | None:
        """Return how far a change of the model is, whoever makes it; None when there is none.

        ``space, model, state`` ("announced", "filling" or "active"), ``entries`` of the search index and how many of
        them are ``done``, ``users`` and ``users_left``; ``failed`` counts work that was given up, with the last
        ``error``: `reembed` tries it again.
        """
        return await self._life.reembedder.progress()

    async def spaces(self) -> list[dict[str, Any]]:
        """Return the embedding spaces of the schema, the oldest first.

        Each has ``space`` (its number), ``provider, model, dims, revision, created_at`` and ``state``: "active",
        "announced" or "filling" (on the way to be active), "idle" (no longer active), "dropping".
        """
        return [one.shown for one in await list_spaces(self._life.database)]

    async def drop_space(self, space: int) -> dict[str, Any]:
        """Delete a space that is not active, with all its vectors; returns ``{"dropped": model, "vectors": n}``.

        ``space`` is its number in `spaces`. One that is being filled is given up. Interrupted, it goes on when it is
        called again. Raises `NotFoundError`, and `EmbeddingSpaceError` for the active space.
        """
        return await self._life.reembedder.drop(validation.count("space", space, most=32_767))
