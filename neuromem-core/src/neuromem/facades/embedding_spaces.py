"""Changing the embedding model of a schema while it is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.errors import EmbeddingSpaceError
from neuromem.store.search_index.embedding_spaces import list_spaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuromem.ingest.embedding.space_migration import SpaceMigration
    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.database.database import Database

MAX_SPACE = 32_767  # a smallint


class EmbeddingSpaces:
    """Changes the embedding model of a schema, for all its users together.

    ``choose_embedding`` returns the provider of an instance or a name.
    """

    def __init__(
        self,
        database: Database,
        migration: SpaceMigration,
        choose_embedding: Callable[[EmbeddingProvider | str], EmbeddingProvider],
    ) -> None:
        self._database = database
        self._migration = migration
        self._choose_embedding = choose_embedding

    async def reembed(self, space: EmbeddingProvider | str, background: bool = True) -> dict[str, Any]:
        """Change the embedding model: fill a new space beside the old one, then switch to it in one transaction.

        Meanwhile recall answers from the old space, and what is stored is embedded for both. An interrupted change
        goes on when this is called again; the old space stays, and can be changed back to, until `drop_space`.

        Args:
            space: The new model, an instance or a name, as the constructor's ``embedding``.
            background: False returns when the change is done.

        Returns:
            How far it is; see `reembedding`.

        Raises:
            EmbeddingSpaceError: Another space is being filled, or the new one was dropped before it was full.
            ConfigurationError: There is no provider of that name.
            ProviderError: The model failed.
        """
        await self._migration.start(self._choose_embedding(space))
        if not background:
            await self._migration.wait()
        progress = await self._migration.progress()
        if progress is None:
            raise EmbeddingSpaceError("The new space was dropped before it was filled; call reembed() again.")
        return progress

    async def reembedding(self) -> dict[str, Any] | None:
        """Return how far a change of the embedding model is, in this or any process; None when there is none.

        Returns:
            ``space, model, state`` ("announced", "filling" or "active"), ``entries`` of the search index and how many
            of them are ``done``, ``users`` and ``users_left``; ``failed`` counts jobs that were given up, with the last
            ``error``: `reembed` tries them again.
        """
        return await self._migration.progress()

    async def spaces(self) -> list[dict[str, Any]]:
        """Return the embedding spaces of the schema, the oldest first.

        Returns:
            Dicts with ``space`` (its number), ``provider, model, dims, revision, created_at`` and ``state``: "active",
            "announced" or "filling" (on the way to be active), "idle" (no longer active), "dropping".
        """
        return [one.shown for one in await list_spaces(self._database)]

    async def drop_space(self, space: int) -> dict[str, Any]:
        """Delete a space that is not active, with all its vectors; returns ``{"dropped": model, "vectors": n}``.

        One that is being filled is given up. Interrupted, it goes on when it is called again.

        Args:
            space: Its number in `spaces`, 1 to 32,767.

        Returns:
            ``dropped``, the model, and ``vectors``, how many were deleted.

        Raises:
            InputError: ``space`` cannot be a number of a space.
            NotFoundError: There is no such space.
            EmbeddingSpaceError: It is the active one.
        """
        return await self._migration.drop(validation.count("space", space, most=MAX_SPACE))
